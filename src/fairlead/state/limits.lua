-- What policy/holds.py, policy/limits.py and policy/budget.py do, inside of Redis or Valkey: one atomic step per call.
--
-- ARGV[1] names the step, ARGV[2] is its argument in MessagePack; KEYS are all keys that it touches. Integers only, all
-- below 2^53. A state is a MessagePack array, as there; an empty table is a rule that nobody has met.
-- `tests/state/test_lua.py` holds this file to the Python: the names are the same, in the same order.

local DAY, WEEK, MONTH = 86400000000, 7 * 86400000000, 30 * 86400000000
local SOON, NEVER = 1000000, -1
local GRAINS, LOG_ENTRIES = 32, 1024
local LEVEL_MAX, FAR = 2 ^ 51, 400 * DAY
local FIRST_MONDAY = 4
local MARGIN = 1000 -- milliseconds for which a key outlives its meaning
local max, min = math.max, math.min

local function floor(value, by) return math.floor(value / by) end
local function ceil(value, by) return math.ceil(value / by) end

local function total_of(sums)
  local total = 0
  for place = 2, #sums, 2 do total = total + sums[place] end
  return total
end

-- Policy: rates. `take` gives the new state (nil where it refuses), then remaining, reset and wait.

local function drained(rule, state, at)
  if #state == 0 then return 0, at end
  local level, before = state[1], state[2]
  if at <= before then return level, before end
  return max(level - (at - before) * rule.limit, 0), at
end

local function corrected(rule, level, at, since, held, used)
  local change = (used - held) * rule.ticks
  if change < 0 then change = min(change + max(at - floor(since, rule.tick), 0) * rule.limit, 0) end
  return min(max(level + change, 0), LEVEL_MAX)
end

local function time_of(rule, level) return min(ceil(level, rule.limit) * rule.tick, FAR) end

local function take_bucket(rule, state, now, amount)
  local ticks = rule.ticks
  local level, at = drained(rule, state, floor(now, rule.tick))
  local top = rule.capacity * ticks
  local new = level + amount * ticks
  if new > top and rule.hard then
    local wait = amount * ticks > top and NEVER or time_of(rule, new - top)
    return nil, floor(max(top - level, 0), ticks), time_of(rule, level), wait
  end
  new = min(new, LEVEL_MAX)
  return {new, at}, floor(max(top - new, 0), ticks), time_of(rule, new), 0
end

local function settle_bucket(rule, state, now, since, held, used)
  local level, at = drained(rule, state, floor(now, rule.tick))
  return {corrected(rule, level, at, since, held, used), at}
end

-- From place `first` of the state on, what has not wholly left the window that ends at `at`.
local function living(state, first, oldest)
  local sums = {}
  while first < #state and state[first] < oldest do first = first + 2 end
  for place = first, #state do sums[#sums + 1] = state[place] end
  return sums
end

local function add(sums, grain, amount)
  local size = #sums
  if size > 0 and sums[size - 1] >= grain then
    sums[size] = sums[size] + amount
    return
  end
  sums[size + 1], sums[size + 2] = grain, amount
  if size + 2 > 2 * LOG_ENTRIES then
    sums[4] = sums[4] + sums[2]
    table.remove(sums, 1)
    table.remove(sums, 1)
  end
end

local function window_until_room(rule, sums, at, lacking)
  for place = 1, #sums, 2 do
    if lacking <= 0 then break end
    lacking = lacking - sums[place + 1]
    local leaves = (sums[place] + 1) * rule.width + rule.ticks
    if lacking <= 0 then return max(leaves - at, 1) * rule.tick end
  end
  return 0
end

local function window_reset(rule, sums, level, at)
  local last = #sums > 0 and (sums[#sums - 1] + 1) * rule.width + rule.ticks - at or 0
  return max(last * rule.tick, time_of(rule, level), 0)
end

local function join(head, sums)
  for _, value in ipairs(sums) do head[#head + 1] = value end
  return head
end

local function take_window(rule, state, now, amount)
  local ticks, limit, burst, width = rule.ticks, rule.limit, rule.burst, rule.width
  local level, at = drained(rule, state, floor(now, rule.tick))
  local sums = living(state, 3, floor(at - ticks, width))
  local lacking = amount + total_of(sums) - limit - burst
  local room = amount - lacking
  if burst > 0 then room = min(room, floor((limit + burst) * ticks - level, ticks)) end
  if amount > room and rule.hard then
    local wait = NEVER
    if amount <= limit + burst then
      local earned = burst > 0 and time_of(rule, max(level + (amount - limit - burst) * ticks, 0)) or 0
      wait = max(window_until_room(rule, sums, at, lacking), earned)
    end
    return nil, max(room, 0), window_reset(rule, sums, level, at), wait
  end
  add(sums, floor(at, width), amount)
  if burst > 0 then level = min(level + amount * ticks, LEVEL_MAX) end
  return join({level, at}, sums), max(room - amount, 0), window_reset(rule, sums, level, at), 0
end

local function settle_window(rule, state, now, since, held, used)
  local level, at = drained(rule, state, floor(now, rule.tick))
  local oldest = floor(at - rule.ticks, rule.width)
  local sums = living(state, 3, oldest)
  local grain = floor(floor(since, rule.tick), rule.width)
  local place = grain >= oldest and 1 or #sums + 1
  while place < #sums and sums[place] < grain do place = place + 2 end
  if place < #sums and sums[place + 1] + used - held >= 0 then
    sums[place + 1] = sums[place + 1] + used - held
  elseif used > held then
    add(sums, floor(at, rule.width), used - held)
  end
  if rule.burst > 0 then level = corrected(rule, level, at, since, held, used) end
  return join({level, at}, sums)
end

local function fixed_window(rule, state, now)
  local index = max(floor(floor(now, rule.tick), rule.ticks), state[1] or 0)
  return index, state[1] == index and state[2] or 0
end

local function take_fixed(rule, state, now, amount)
  local index, total = fixed_window(rule, state, now)
  local room = rule.limit + rule.burst - total
  local reset = max((index + 1) * rule.ticks * rule.tick - now, 1)
  if amount > room and rule.hard then
    local wait = amount > rule.limit + rule.burst and NEVER or reset
    return nil, max(room, 0), total > 0 and reset or 0, wait
  end
  return {index, total + amount}, max(room - amount, 0), reset, 0
end

local function settle_fixed(rule, state, now, since, held, used)
  local index, total = fixed_window(rule, state, now)
  if floor(floor(since, rule.tick), rule.ticks) == index or used > held then total = max(total + used - held, 0) end
  return {index, total}
end

local function take_gauge(rule, state, _, amount)
  local count = state[1] or 0
  if count + amount > rule.limit and rule.hard then
    local wait = amount > rule.limit and NEVER or SOON
    return nil, max(rule.limit - count, 0), count > 0 and DAY or 0, wait
  end
  return {count + amount}, max(rule.limit - count - amount, 0), DAY, 0
end

local function settle_gauge(_, state, _, _, held) return {max((state[1] or 0) - held, 0)} end

-- Policy: budgets.

local function day_of_month(day)
  local of_era = (day + 719468) % 146097
  local year = floor(of_era - floor(of_era, 1460) + floor(of_era, 36524) - floor(of_era, 146096), 365)
  local of_year = of_era - (365 * year + floor(year, 4) - floor(year, 100))
  local month = floor(5 * of_year + 2, 153)
  return of_year - floor(153 * month + 2, 5)
end

local function period(length, now)
  local day = floor(now, DAY)
  if length == WEEK then
    local first = day - (day - FIRST_MONDAY) % 7
    return first * DAY, (first + 7) * DAY
  elseif length == MONTH then
    local first = day - day_of_month(day)
    local last = first + 32
    return first * DAY, (last - day_of_month(last)) * DAY
  end
  return day * DAY, (day + 1) * DAY
end

local function current(rule, state, now)
  if #state > 0 and now < state[1] then return state[1], state[2], state[3] end
  local _, ends = period(rule.tick * rule.ticks, now)
  return ends, 0, state[3] or 0
end

local function budget_wait(rule, amount, spent, leaves)
  if amount > rule.limit then return NEVER end
  return amount <= rule.limit - spent and SOON or leaves
end

local function take_calendar(rule, state, now, amount)
  local ends, spent, held = current(rule, state, now)
  local room = rule.limit - spent - held
  local reset = max(ends - now, 1)
  if amount > room and rule.hard then
    return nil, max(room, 0), reset, budget_wait(rule, amount, spent, reset)
  end
  return {ends, spent, held + amount}, max(room - amount, 0), reset, 0
end

local function settle_calendar(rule, state, now, _, held, used)
  local ends, spent, waiting = current(rule, state, now)
  return {ends, spent + used, max(waiting - held, 0)}
end

local function spendings(rule, state, now)
  return state[1] or 0, living(state, 2, floor(now - rule.ticks * rule.tick, rule.width))
end

local function charge(rule, sums, at, used)
  if used == 0 then return end
  local grain, size = floor(at, rule.width), #sums
  if size > 0 and sums[size - 1] >= grain then
    sums[size] = sums[size] + used
  else
    sums[size + 1], sums[size + 2] = grain, used
  end
end

local function rolling_until_room(rule, sums, now, lacking)
  for place = 1, #sums, 2 do
    lacking = lacking - sums[place + 1]
    if lacking <= 0 then return max((sums[place] + 1) * rule.width + rule.ticks * rule.tick - now, 1) end
  end
  return SOON
end

local function take_rolling(rule, state, now, amount)
  local held, sums = spendings(rule, state, now)
  local spent = total_of(sums)
  local room = rule.limit - held - spent
  local reset = #sums > 0 and (sums[#sums - 1] + 2 + GRAINS) * rule.width - now or DAY
  if amount > room and rule.hard then
    local leaves = rolling_until_room(rule, sums, now, amount + spent - rule.limit)
    return nil, max(room, 0), reset, budget_wait(rule, amount, spent, leaves)
  end
  return join({held + amount}, sums), max(room - amount, 0), max(reset, DAY), 0
end

local function settle_rolling(rule, state, now, _, held, used)
  local waiting, sums = spendings(rule, state, now)
  charge(rule, sums, now, used)
  return join({max(waiting - held, 0)}, sums)
end

local function seeded(rule, spent, now)
  if rule.mechanism == 'calendar' then
    local begins, ends = period(rule.tick * rule.ticks, now)
    local total = 0
    for place = 1, #spent, 2 do
      if begins < spent[place] and spent[place] <= ends then total = total + spent[place + 1] end
    end
    return {ends, total, 0}
  end
  local sums = {}
  for place = 1, #spent, 2 do charge(rule, sums, min(spent[place], now), spent[place + 1]) end
  local _, left = spendings(rule, join({0}, sums), now)
  return join({0}, left)
end

local TAKE = {
  bucket = take_bucket, window = take_window, fixed = take_fixed, gauge = take_gauge,
  calendar = take_calendar, rolling = take_rolling,
}
local SETTLE = {
  bucket = settle_bucket, window = settle_window, fixed = settle_fixed, gauge = settle_gauge,
  calendar = settle_calendar, rolling = settle_rolling,
}
local BUDGETS = {calendar = true, rolling = true}
local HOLDING = {calendar = true, rolling = true, gauge = true}

-- The engine.

local function clock(given)
  if given > 0 then return given end
  local time = redis.call('TIME')
  return time[1] * 1000000 + time[2]
end

-- A state, and for a budget when it was told its past. What is neither, whoever put it there, is as none, and is
-- overwritten.
local function load(key)
  local found = redis.pcall('GET', key)
  if type(found) ~= 'string' then return {} end
  local read, record = pcall(cmsgpack.unpack, found)
  if not read or type(record) ~= 'table' or type(record[1]) ~= 'table' then return {} end
  return record[1], record[2]
end

-- The same for the two keys of a slot's holds.
local function own(holds, leases)
  for key, kind in pairs({[holds] = 'hash', [leases] = 'zset'}) do
    local found = redis.call('TYPE', key).ok
    if found ~= kind and found ~= 'none' then redis.call('DEL', key) end
  end
end

local function store(key, rule, state, told, reset)
  local lifetime = BUDGETS[rule.mechanism] and max(reset, DAY) or reset
  redis.call('SET', key, cmsgpack.pack({state, told}), 'PX', ceil(lifetime, 1000) + MARGIN)
end

local function standing(rule, state, now)
  local _, remaining, reset, wait = TAKE[rule.mechanism](rule, state, now, 0)
  return remaining, reset, wait
end

-- Holds are kept for a day after the newest of a slot; those that nobody settles by then are gone with what they held.
local function lease(leases, holds, id, ends)
  redis.call('ZADD', leases, ends, id)
  redis.call('PEXPIRE', leases, DAY / 1000)
  redis.call('PEXPIRE', holds, DAY / 1000)
end

local function settle_one(key, now, since, demand)
  local rule, held, used = demand[1], demand[2], demand[3]
  local state, told = load(key)
  if BUDGETS[rule.mechanism] and not told then return end -- it will be told its past, this settlement included
  local new = SETTLE[rule.mechanism](rule, state, now, since, held, used)
  if used > held or told or #state == 0 then
    local _, reset = standing(rule, new, now)
    store(key, rule, new, told, reset)
  else -- it has only become lighter
    redis.call('SET', key, cmsgpack.pack({new}), 'KEEPTTL')
  end
end

local STEPS = {}

-- KEYS: holds, leases, a state per demand. ARGV[3]: what is to be written down of the hold.
-- Reply: 0 granted or 1 denied, the time, three numbers per demand; or 2 unseeded, and the place of the demand.
function STEPS.reserve(call)
  local now = clock(call.now)
  local reply, new, told, resets = {0, now}, {}, {}, {}
  for index, demand in ipairs(call.demands) do
    local rule, state, remaining, reset, wait = demand[1]
    state, told[index] = load(KEYS[index + 2])
    if BUDGETS[rule.mechanism] and not told[index] then return {2, index - 1} end
    new[index], remaining, reset, wait = TAKE[rule.mechanism](rule, state, now, demand[2])
    resets[index] = reset
    if wait ~= 0 then reply[1] = 1 end
    reply = join(reply, {remaining, reset, wait})
  end
  if reply[1] == 0 and not call.dry then
    own(KEYS[1], KEYS[2])
    redis.call('HSET', KEYS[1], call.hold, string.format('%.0f:', now) .. ARGV[3])
    lease(KEYS[2], KEYS[1], call.hold, now + call.lease)
    for index, demand in ipairs(call.demands) do
      store(KEYS[index + 2], demand[1], new[index], told[index], resets[index])
    end
  end
  return reply
end

-- KEYS, for each settlement: holds, leases, a state per demand. Reply: for each, whether it was still held.
function STEPS.settle(call)
  local now, place, reply = clock(call.now), 1, {}
  for index, settlement in ipairs(call.settlements) do
    local id, demands = settlement[1], settlement[2]
    own(KEYS[place], KEYS[place + 1])
    local record = redis.call('HGET', KEYS[place], id)
    reply[index] = record and 1 or 0
    if record then
      local since = tonumber(string.match(record, '^%d+'))
      redis.call('HDEL', KEYS[place], id)
      redis.call('ZREM', KEYS[place + 1], id)
      for number, demand in ipairs(demands) do
        if demand[2] ~= demand[3] or HOLDING[demand[1].mechanism] then
          settle_one(KEYS[place + 1 + number], now, since, demand)
        end
      end
    end
    place = place + 2 + #demands
  end
  return reply
end

-- KEYS, for each hold: holds, leases.
function STEPS.renew(call)
  local ends = clock(call.now) + call.lease
  for index, id in ipairs(call.holds) do
    local holds, leases = KEYS[2 * index - 1], KEYS[2 * index]
    own(holds, leases)
    if redis.call('HEXISTS', holds, id) == 1 then lease(leases, holds, id, ends) end
  end
  return 0
end

-- KEYS, for each slot: holds, leases. Reply: id and record by turns.
function STEPS.overdue(call)
  local now, prefix, reply = clock(call.now), call.prefix, {}
  for place = 1, #KEYS, 2 do
    local before = string.format('(%.0f', now - call.by)
    own(KEYS[place], KEYS[place + 1])
    local most = prefix == '' and call.most - #reply / 2 or -1 -- of others' holds there may be any number before ours
    for _, id in ipairs(redis.call('ZRANGEBYSCORE', KEYS[place + 1], '-inf', before, 'LIMIT', 0, most)) do
      if #reply == 2 * call.most then return reply end
      if string.sub(id, 1, #prefix) == prefix then
        local record = redis.call('HGET', KEYS[place], id)
        if record then
          redis.call('ZADD', KEYS[place + 1], now + call.claim, id)
          reply = join(reply, {id, record})
        else
          redis.call('ZREM', KEYS[place + 1], id)
        end
      end
    end
  end
  return reply
end

-- KEYS: the budget's state. Reply: whether there was none.
function STEPS.seed(call)
  local now, rule = clock(call.now), call.rule
  local _, told = load(KEYS[1])
  if told then return 0 end
  local state = seeded(rule, call.spent, now)
  local _, reset = standing(rule, state, now)
  store(KEYS[1], rule, state, now, reset)
  return 1
end

-- KEYS: the budget's state, and the bill's mark: a bill that is sent again, as no answer came, is paid once.
-- What was spent before the budget was told its past is part of that.
function STEPS.charge(call)
  local now, used, spent = clock(call.now), 0, call.spent
  local _, told = load(KEYS[1])
  if not told or redis.call('EXISTS', KEYS[2]) == 1 then return 0 end
  for place = 1, #spent, 2 do
    if now - spent[place] > told then used = used + spent[place + 1] end
  end
  settle_one(KEYS[1], now, now, {call.rule, 0, used})
  redis.call('SET', KEYS[2], '', 'PX', DAY / 1000)
  return 0
end

-- KEYS: a state per rule. Reply: three numbers per rule.
function STEPS.standings(call)
  local now, reply = clock(call.now), {}
  for index, rule in ipairs(call.rules) do
    local remaining, reset, wait = standing(rule, load(KEYS[index]), now)
    reply = join(reply, {remaining, reset, wait})
  end
  return reply
end

return STEPS[ARGV[1]](cmsgpack.unpack(ARGV[2]))
