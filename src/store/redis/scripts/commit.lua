local id, attempt, failure = take(), count(), take()
local most_failed, most_failed_bytes = count(), count()
local head = head_of(id)
if head == '' then return {3, {}, {}} end
local _, _, owner = numbers_of(head)
if attempt < owner then return {3, {}, {}} end
local dropped = 0
if failure ~= '' then
  local failed = P .. 'failed'
  local entry = failure .. call('GET', P .. 'job:' .. id)
  local kept = call('RPUSH', failed, entry)
  local bytes = call('INCRBY', P .. 'failed_bytes', #entry)
  while kept > 1 and (kept > most_failed or bytes > most_failed_bytes) do
    bytes = call('DECRBY', P .. 'failed_bytes', #call('LPOP', failed))
    kept = kept - 1
    dropped = dropped + 1
  end
end
finish(id, head)
local stored, cancelled = apply()
stored[#stored + 1] = dropped
return {0, stored, cancelled}
