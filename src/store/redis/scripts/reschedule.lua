local job, held, reason = owned(take(), count()), take(), take()
if not job then return 0 end
job.tries, job.strikes, job.held = job.tries + 1, 0, held
set(job, HELD)
clear(job, CLAIMED)
note(job, reason)
save(job)
return 1
