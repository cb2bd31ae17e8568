local refusal = deposed()
if refusal then return refusal end
local most, attempts, released, known = count(), {}, {}, {}
for index = 1, count() do
  local id, strike, unknown = take(), take(), take()
  -- One that is named again is as it was left.
  local job = known[id] or open_job(id)
  attempts[index] = 0
  if job then
    known[id] = job
    released[#released + 1] = job
    job.attempt = job.attempt + 1
    if not has(job, PARKED) then
      if strike ~= '' then
        job.strikes = job.strikes + 1
        note(job, strike)
      end
      if has(job, CLAIMED) then
        park(job, unknown)
      elseif job.strikes >= most then
        park(job, strike)
      end
    end
    attempts[index] = job.attempt
  end
end
for _, job in ipairs(released) do save(job) end
return {0, attempts, {}}
