-- For each id, as far as the budget goes: its seq, 0 if it is not open, and its
-- record.
local budget, found = count(), {}
while at < #ARGV do
  local id = take()
  local job = P .. 'job:' .. id
  budget = budget - call('STRLEN', job)
  if budget < 0 and #found > 0 then break end
  found[#found + 1] = call('ZSCORE', P .. 'open', id) or '0'
  found[#found + 1] = call('GET', job) or ''
end
return found
