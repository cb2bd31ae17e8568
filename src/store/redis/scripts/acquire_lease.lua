-- `anew`: Redis was restarted or has forgotten something since the holder last
-- asked. The epochs of the time that was lost are not known here, but none was
-- as high as the clock is now.
local holder, ttl, above, anew = take(), count(), count(), take() == '1'
local time = call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local lease = call('HMGET', P .. 'lease', 'holder', 'until', 'epoch')
local epoch = tonumber(lease[3] or 0)
-- One that ends too late was given by a clock that has been set back since.
local rest = lease[1] and tonumber(lease[2]) - now or 0
if rest > 0 and rest <= ttl and lease[1] ~= holder then
  return {1, {rest}, {lease[1]}}
end
if anew or lease[1] ~= holder then
  epoch = math.max(epoch, above) + 1
end
if anew then
  epoch = math.max(epoch, now)
end
call('HSET', P .. 'lease', 'holder', holder, 'until', now + ttl, 'epoch', epoch)
return {0, {epoch, tonumber(call('GET', P .. 'seq') or 0)}, {}}
