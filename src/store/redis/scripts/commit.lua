local job, failure = owned(take(), count()), take()
local most_failed, most_failed_bytes = count(), count()
if not job then return {3, {}, {}} end
local changes = take_changes(job.id)
expect_finish(job)
if failure ~= '' then expect_failures() end

local dropped = 0
if failure ~= '' then
  local entry = failure .. call('GET', job.name)
  dropped = keep_failure(job.id, entry, most_failed, most_failed_bytes)
end
finish(job)
local stored, cancelled = apply(changes)
stored[#stored + 1] = dropped
return {0, stored, cancelled}
