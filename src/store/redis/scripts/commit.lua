local job, failure = owned(take(), count()), take()
local most_failed, most_failed_bytes = count(), count()
if not job then return {3, {}, {}} end
local dropped = 0
if failure ~= '' then
  local entry = failure .. call('GET', job.name)
  dropped = keep_failure(job.id, entry, most_failed, most_failed_bytes)
end
finish(job)
local stored, cancelled = apply()
stored[#stored + 1] = dropped
return {0, stored, cancelled}
