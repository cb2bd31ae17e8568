if call('HGET', P .. 'lease', 'holder') == take() then
  call('HDEL', P .. 'lease', 'holder', 'until')
end
return 0
