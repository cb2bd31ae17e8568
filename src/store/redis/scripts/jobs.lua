-- For each id, as far as the budget goes: its seq, 0 if it is not open, and its
-- record.
local budget, found = count(), {}
while at < #ARGV do
  local id = take()
  local job = P .. 'job:' .. id
  local size = redis.pcall('STRLEN', job)
  -- What is no record of any kind has none to be read.
  local is_record = type(size) == 'number'
  if is_record then budget = budget - size end
  if budget < 0 and #found > 0 then break end
  found[#found + 1] = call('ZSCORE', P .. 'open', id) or '0'
  found[#found + 1] = is_record and call('GET', job) or ''
end
return found
