local after, limit, budget = take(), take(), count()
local ids = call('ZRANGEBYSCORE', P .. 'open', '(' .. after, '+inf', 'WITHSCORES',
  'LIMIT', 0, limit)
local found = {}
for place = 1, #ids, 2 do
  local id, seq = ids[place], ids[place + 1]
  local job = P .. 'job:' .. id
  local size = redis.pcall('STRLEN', job)
  -- What is no record of any kind has none to be read.
  local is_record = type(size) == 'number'
  if is_record then budget = budget - size end
  if budget < 0 and #found > 0 then break end
  found[#found + 1] = seq
  found[#found + 1] = id
  found[#found + 1] = is_record and call('GET', job) or ''
end
return found
