local after, limit, budget = take(), count(), count()
local found = {}
while #found < 3 * limit do
  local some = math.min(16, limit - #found / 3)
  local page = call('ZRANGEBYSCORE', P .. 'failed', '(' .. after, '+inf', 'WITHSCORES',
    'LIMIT', 0, some)
  if #page == 0 then return found end
  for index = 1, #page, 2 do
    local id = page[index]
    after = page[index + 1]
    local entry = call('HGET', P .. 'failures', id) or ''
    budget = budget - #entry
    if budget < 0 and #found > 0 then return found end
    found[#found + 1] = after
    found[#found + 1] = id
    found[#found + 1] = entry
  end
end
return found
