local job, reason = owned(take(), count()), take()
if not job then return 0 end
park(job, reason)
save(job)
return 1
