local after, limit, budget = take(), take(), count()
local ids = call('ZRANGEBYSCORE', P .. 'open', '(' .. after, '+inf', 'LIMIT', 0, limit)
local records = {}
for index = 1, #ids do
  local job = P .. 'job:' .. ids[index]
  budget = budget - call('STRLEN', job)
  if budget < 0 and index > 1 then break end
  records[index] = call('GET', job)
end
return records
