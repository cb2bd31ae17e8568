local after, limit, budget = take(), take(), count()
local ids = call('ZRANGEBYSCORE', P .. 'open', '(' .. after, '+inf', 'LIMIT', 0, limit)
local found = {}
for _, id in ipairs(ids) do
  local job = P .. 'job:' .. id
  budget = budget - call('STRLEN', job)
  if budget < 0 and #found > 0 then break end
  found[#found + 1] = id
  found[#found + 1] = call('GET', job) or ''
end
return found
