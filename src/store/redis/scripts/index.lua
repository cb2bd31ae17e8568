-- Notes in the index of a table those of the rows named that are there.
-- Arguments: name of the table, name of the index row, rows.
local name = P .. 's:' .. take() .. ':'
local rows = name .. take()
for index = at + 1, #ARGV do
  if call('EXISTS', name .. ARGV[index]) == 1 then
    call('HSET', rows, ARGV[index], '')
  end
end
return 0
