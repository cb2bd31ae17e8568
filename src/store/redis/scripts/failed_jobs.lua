local limit, budget = count(), count()
local found = {}
while #found < 2 * limit do
  local from = #found / 2
  local page = call('ZRANGE', P .. 'failed', from, math.min(from + 15, limit - 1))
  if #page == 0 then return found end
  for _, id in ipairs(page) do
    local entry = call('HGET', P .. 'failures', id) or ''
    budget = budget - #entry
    if budget < 0 and #found > 0 then return found end
    found[#found + 1] = id
    found[#found + 1] = entry
  end
end
return found
