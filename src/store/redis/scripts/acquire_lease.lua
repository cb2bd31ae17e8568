-- `anew`: Redis was restarted or has forgotten something since the holder last
-- asked. The epochs of the time that was lost are not known here, but none was
-- as high as the clock is now.
local holder, ttl, anew = take(), count(), take() == '1'
local time = call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local lease = call('HMGET', P .. 'lease', 'holder', 'until', 'epoch')
local epoch = tonumber(lease[3] or 0)
local running = lease[1] and tonumber(lease[2]) > now
if running and lease[1] ~= holder then
  return {1, {tonumber(lease[2]) - now}, {lease[1]}}
end
if anew then
  epoch = math.max(epoch + 1, now)
elseif lease[1] ~= holder then
  epoch = epoch + 1
end
call('HSET', P .. 'lease', 'holder', holder, 'until', now + ttl, 'epoch', epoch)
return {0, {epoch, tonumber(call('GET', P .. 'seq') or 0)}, {}}
