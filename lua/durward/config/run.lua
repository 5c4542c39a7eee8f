--- Runs a configuration file and the files that it requires, each with an environment of its own making.
--
-- What a configuration reaches: Lua's base functions without files and bytecode, string, table, math, utf8,
-- os.getenv, os.date, os.time, and require for files beside it.  A name that nobody defined is a mistake that
-- is noted, with its line, and read as nil, so that one run finds all of them.

local source = require("durward.config.source")

local run = {}

-- A configuration shares the strings' methods with this code, so it must not reach their table.
getmetatable("").__metatable = false

---@class durward.config.Door  what C lends
---@field read fun(path: string): string?, string?  a file's text, or nil and why
---@field run fun(chunk: function): boolean, any, integer?, integer?  calls under limits; message, file, line
---@field where fun(): integer?, integer?  file and line of the configuration's code that is running
---@field print fun(text: string)
---@field nearest fun(word: string, words: string[]): string?

local base = {
  "assert", "error", "ipairs", "next", "pairs", "pcall", "rawequal", "rawget", "rawlen", "rawset", "select",
  "tonumber", "tostring", "type", "xpcall", "getmetatable",
}

local function copy(library, without)
  local fresh = {}
  for name, value in next, library do
    if name ~= without then
      fresh[name] = value
    end
  end
  return fresh
end

---@class durward.config.Run
---@field door durward.config.Door
---@field folder string  of the configuration, as it was named, with its slash
---@field files string[]  by the number that a chunk's name carries
---@field modules table<string, { path: string, text: string, value: any, root: durward.config.Place? }>
---@field findings { file: string, line: integer, message: string }[]
local Run = {}
Run.__index = Run

function Run:note(file, line, format, ...)
  local message = format:format(...)
  for _, known in ipairs(self.findings) do
    if known.file == file and known.line == line and known.message == message then
      return
    end
  end
  self.findings[#self.findings + 1] = { file = file, line = line, message = message }
end

--- Chunks are called "@1", "@2", ..; messages name the file.
function Run:named(message)
  return (tostring(message):gsub("@(%d+):(%d+):", function(number, line)
    local file = self.files[tonumber(number)]
    return file and file .. ":" .. line .. ":"
  end))
end

--- A message that may begin with a place: without it, and the place.
function Run:split(message)
  local number, line, rest = tostring(message):match("^@(%d+):(%d+): (.*)")
  if number then
    return self:named(rest), self.files[tonumber(number)] or self.files[1], math.tointeger(tonumber(line))
  end
  return self:named(message)
end

function Run:environment()
  local env = {
    _VERSION = _VERSION,
    string = copy(string, "dump"),
    table = copy(table),
    math = copy(math),
    utf8 = copy(utf8),
    os = { getenv = os.getenv, date = os.date, time = os.time },
  }
  for _, name in ipairs(base) do
    env[name] = _G[name]
  end
  env._G = env
  env.print = function(...)
    self.door.print(table.concat({ ... }, "\t"))
  end
  env.load = function(chunk, name, _, scope)
    return load(chunk, name, "t", scope == nil and env or scope)
  end
  env.setmetatable = function(value, meta)
    if type(meta) == "table" and rawget(meta, "__gc") ~= nil then
      error("a configuration's table cannot have __gc", 2)
    end
    return setmetatable(value, meta)
  end
  env.require = function(name)
    return self:require(name)
  end
  return setmetatable(env, {
    __index = function(_, name)
      local file, line = self.door.where()
      local names = {}
      for known in next, env do
        names[#names + 1] = known
      end
      table.sort(names)
      local near = self.door.nearest(tostring(name), names)
      self:note(self.files[file] or self.files[1], line or 1, "undefined name '%s'%s", tostring(name),
        near and (", did you mean '%s'?"):format(near) or "")
      return nil
    end,
    __metatable = false,
  })
end

--- Without what only a shell or an editor reads: a byte order mark, a first line for the kernel.
local function plain(text)
  return (text:gsub("^\xef\xbb\xbf", ""):gsub("^#", "--"))
end

--- Compiles one file; nil when it has a mistake, which is then noted.
function Run:compile(path, text)
  local number = #self.files + 1
  self.files[number] = path
  local chunk, message = load(text, "=@" .. number, "t", self.env)
  if not chunk then
    local rest, file, line = self:split(message)
    self:note(file or path, line or 1, "%s", rest)
  end
  return chunk
end

function Run:require(name)
  if type(name) ~= "string" or not name:find("^[%w_][%w_.%-]*$") or name:find("..", 1, true) then
    error("require wants the name of a file beside the configuration, as in require(\"listeners\")", 0)
  end
  local module = self.modules[name]
  if not module then
    local path = self.folder .. name:gsub("%.", "/") .. ".lua"
    local text, why = self.door.read(path)
    if not text then
      error(("there is no module '%s': %s: %s"):format(name, path, why), 0)
    end
    text = plain(text)
    module = { path = path, text = text }
    self.modules[name] = module
    local chunk = self:compile(path, text)
    if not chunk then
      error(("module '%s' has a mistake of its own"):format(name), 0)
    end
    local value = chunk(name)
    module.value = value == nil and true or value
  elseif module.value == nil then
    error(("module '%s' requires itself"):format(name), 0)
  end
  return module.value
end

--- The places of a file's keys; read after the run, when what it requires is known.
function Run:places(module)
  if module and not module.root then
    module.root = { line = 1, file = module.path }
    local root, twice = source.scan(module.text, module.path, function(name)
      return self:places(self.modules[name])
    end)
    module.root = root
    for _, again in ipairs(twice) do
      self:note(again.place.file, again.place.line, "'%s' is given twice; the first stands in line %d", again.key,
        again.first)
    end
  end
  return module and module.root
end

--- Runs the configuration.
---@param door durward.config.Door
---@param path string  as it was named on the command line
---@param text string  its source
---@return any value  what it returned; nil after a mistake
---@return durward.config.Place root
---@return table findings
function run.configuration(door, path, text)
  local self = setmetatable({
    door = door, folder = path:match("^.*/") or "", files = {}, modules = {}, findings = {},
  }, Run)
  self.env = self:environment()
  text = plain(text)
  local chunk = self:compile(path, text)
  if not chunk then
    return nil, { line = 1, file = path }, self.findings
  end
  local done, value, number, line = door.run(chunk)
  local root = self:places({ path = path, text = text })
  if not done then
    local rest, at_file, at_line = self:split(value)
    self:note(at_file or self.files[number] or path, at_line or line or 1, "%s", rest)
    return nil, root, self.findings
  end
  if type(value) ~= "table" then
    self:note(path, root.line, "the configuration must return a table, not %s",
      value == nil and "nothing" or "a " .. type(value))
    return nil, root, self.findings
  end
  return value, root, self.findings
end

return run
