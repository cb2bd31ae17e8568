local job, held, reason, unknown = owned(take(), count()), take(), take(), take()
local most = count()
if not job then return {3, {}, {}} end
job.strikes = job.strikes + 1
local parks = job.strikes >= most or has(job, CLAIMED)
if has(job, CLAIMED) then
  park(job, unknown)
elseif parks then
  park(job, reason)
else
  job.tries, job.held = job.tries + 1, held
  set(job, HELD)
  note(job, reason)
end
save(job)
return {parks and 1 or 0, {job.tries, job.strikes}, {}}
