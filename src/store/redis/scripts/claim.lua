local job = owned(take(), count())
if not job or has(job, CLAIMED) then return 0 end
set(job, CLAIMED)
save(job)
return 1
