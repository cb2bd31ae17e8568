local limit, budget = count(), count()
local failed, entries = P .. 'failed', {}
while #entries < limit do
  local page = call('LRANGE', failed, #entries, math.min(#entries + 15, limit - 1))
  if #page == 0 then return entries end
  for _, entry in ipairs(page) do
    budget = budget - #entry
    if budget < 0 and #entries > 0 then return entries end
    entries[#entries + 1] = entry
  end
end
return entries
