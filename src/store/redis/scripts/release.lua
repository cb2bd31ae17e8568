local refusal = deposed()
if refusal then return refusal end
local most, jobs = count(), {}
for index = 1, count() do
  jobs[index] = {job = open_job(take()), strike = take(), unknown = take()}
end
local attempts = {}
for index, release in ipairs(jobs) do
  local job = release.job
  attempts[index] = 0
  if job then
    -- What an earlier entry of this call may have changed is read again.
    job = open_job(job.id)
    job.attempt = job.attempt + 1
    if not has(job, PARKED) then
      if release.strike ~= '' then
        job.strikes = job.strikes + 1
        note(job, release.strike)
      end
      if has(job, CLAIMED) then
        park(job, release.unknown)
      elseif job.strikes >= most then
        park(job, release.strike)
      end
    end
    save(job)
    attempts[index] = job.attempt
  end
end
return {0, attempts, {}}
