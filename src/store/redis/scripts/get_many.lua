local values = {}
for index = 1, #ARGV do
  values[index] = call('HGET', P .. 's:' .. ARGV[index], '')
end
return values
