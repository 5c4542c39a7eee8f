--- What specs have covered of policies: lines that can run, and rules that have decided.
--
-- Lines that can run are read off the compiled file, so that a function that was never called counts too.  A share is
-- never rounded up: 100% is all.

local host = require("durward.kit.host")

local cover = {}

-- A compiled function (lundump.c of Lua 5.4): what is needed of it, in order.
local Reader = {}
Reader.__index = Reader

function Reader:byte()
  self.at = self.at + 1
  return self.text:byte(self.at - 1)
end

function Reader:number()
  local value = 0
  repeat
    local byte = self:byte()
    value = value << 7 | byte & 0x7f
  until byte >= 0x80
  return value
end

function Reader:skip(count)
  self.at = self.at + count
end

function Reader:string()
  local size = self:number()
  self:skip(size > 0 and size - 1 or 0)
end

function Reader:constants()
  for _ = 1, self:number() do
    local kind = self:byte()
    if kind == 0x03 or kind == 0x13 then
      self:skip(8)
    elseif kind == 0x04 or kind == 0x14 then
      self:string()
    end
  end
end

--- Adds the lines of one function and of those within it.  The last instruction is the return at its `end`, which
--- stands there whether it can be reached or not.
function Reader:body(lines)
  self:string()
  local line = self:number()
  self:number()
  self:skip(1)
  local is_vararg = self:byte() ~= 0
  self:skip(1)
  local code = self:number()
  self:skip(code * 4)
  self:constants()
  self:skip(self:number() * 3)
  for _ = 1, self:number() do
    self:body(lines)
  end
  local steps, marks = {}, {}
  for i = 1, self:number() do
    local step = self:byte()
    steps[i] = step < 128 and step or step - 256
  end
  for i = 1, self:number() do
    self:number()
    marks[i] = self:number()
  end
  local mark = 0
  for i = 1, #steps - 1 do
    if steps[i] == -128 then
      mark = mark + 1
      line = marks[mark]
    else
      line = line + steps[i]
    end
    if i > 1 or not is_vararg then -- what takes the arguments runs unseen
      lines[line] = true
    end
  end
  for _ = 1, self:number() do
    self:string()
    self:number()
    self:number()
  end
  for _ = 1, self:number() do
    self:string()
  end
end

--- The lines of a source that can run.
---@param text string
---@return table<integer, true>
function cover.lines(text)
  local chunk = assert(load(text, "=", "t", {}))
  local reader = setmetatable({ text = string.dump(chunk), at = 1 }, Reader)
  reader:skip(4 + 2 + 6 + 3 + 8 + 8 + 1)
  local lines = {}
  reader:body(lines)
  return lines
end

--- A share in percent with one digit, never rounded up.
---@param part integer
---@param whole integer
---@return string
function cover.percent(part, whole)
  if whole == 0 then
    return "-"
  end
  local tenths = part * 1000 // whole
  return ("%d.%d%%"):format(tenths // 10, tenths % 10)
end

-- 3, 4, 5, 9 as "3-5, 9"
local function ranges(list)
  local parts, i = {}, 1
  while list[i] do
    local last = i
    while list[last + 1] == list[last] + 1 do
      last = last + 1
    end
    parts[#parts + 1] = last > i and list[i] .. "-" .. list[last] or tostring(list[i])
    i = last + 1
  end
  return table.concat(parts, ", ")
end

local function sorted(set)
  local list = {}
  for key in pairs(set) do
    list[#list + 1] = key
  end
  table.sort(list)
  return list
end

local function of_file(path, hit)
  local file = io.open(path, "rb")
  if not file then -- written for a spec, and gone
    return nil
  end
  local text = file:read("a"):gsub("^\xef\xbb\xbf", "")
  file:close()
  local missed, count = {}, 0
  for _, line in ipairs(sorted(cover.lines(text))) do
    count = count + 1
    if not hit[tostring(line)] then
      missed[#missed + 1] = line
    end
  end
  return { all = count, hit = count - #missed, missed = missed }
end

local function rules_of(path, rules)
  local all, hit, missed = 0, 0, {}
  for _, key in ipairs(sorted(rules)) do
    local file, line, name = key:match("^(.*):(%d+): (.*)$")
    if file == path then
      all = all + 1
      if rules[key] then
        hit = hit + 1
      else
        missed[#missed + 1] = { line = tonumber(line), name = name }
      end
    end
  end
  table.sort(missed, function(a, b)
    return a.line < b.line
  end)
  return { all = all, hit = hit, missed = missed }
end

--- The report of all that was covered since host.cover() was called, as text.
---@return string
function cover.report()
  local covered = host.covered()
  local out, sums = {}, { lines = { 0, 0 }, rules = { 0, 0 } }
  local function tell(...)
    out[#out + 1] = string.format(...)
  end
  for _, path in ipairs(sorted(covered.lines)) do
    local lines, rules = of_file(path, covered.lines[path]), rules_of(path, covered.rules)
    if lines then
      tell("%s: lines %s (%d of %d), rules %s (%d of %d)", path, cover.percent(lines.hit, lines.all), lines.hit,
        lines.all, cover.percent(rules.hit, rules.all), rules.hit, rules.all)
      if #lines.missed > 0 then
        tell("  lines never run: %s", ranges(lines.missed))
      end
      for _, rule in ipairs(rules.missed) do
        tell("  rule never decided: %q (%s:%d)", rule.name, path, rule.line)
      end
      sums.lines = { sums.lines[1] + lines.hit, sums.lines[2] + lines.all }
      sums.rules = { sums.rules[1] + rules.hit, sums.rules[2] + rules.all }
    end
  end
  tell("coverage: lines %s (%d of %d), rules %s (%d of %d)", cover.percent(table.unpack(sums.lines)), sums.lines[1],
    sums.lines[2], cover.percent(table.unpack(sums.rules)), sums.rules[1], sums.rules[2])
  return table.concat(out, "\n") .. "\n"
end

return cover
