--- Reads a policy without running it, for names and fields that cannot be right.
--
-- A parser of Lua 5.4 that knows its scopes, and of some values what they are: the event (the first parameter of
-- a hook or of a function given to a rule, and every parameter called `event`), its parts, durward's modules and
-- the libraries.  Of all else it knows nothing and says nothing.  The source has compiled.

local core = require("durward.core")
local source = require("durward.config.source")
local words = require("durward.check.words")

local HOOKS = { connect = true, realm = true, map = true, authorize = true, close = true }
-- Modules whose words take functions of an event.
local TAKE_EVENTS = {
  ["durward.rule"] = true, ["durward.match"] = true, ["durward.map"] = true, ["durward.limit"] = true,
}
local GRANTS = { "user", "backend", "properties", "expires", "jid", "identity", "reason", "sockets" }
local DECISIONS = { allow = GRANTS, deny = { "reason" }, temporary = { "reason" } }

local UNARY = { ["-"] = true, ["not"] = true, ["#"] = true, ["~"] = true }
local BINARY = {}
for operator in ("+ - * / % ^ .. == ~= <= >= < > and or & | ~"):gmatch("%S+") do
  BINARY[operator] = true
end
local BLOCK_ENDS = { ["end"] = true, ["else"] = true, ["elseif"] = true, ["until"] = true }

---@class durward.check.Kind  what is known of a value
---@field is "event"|"part"|"principal"|"module"|"word"|"library"|"text"
---@field name string
---@field fields? table<string, any>
---@field module? string

---@class durward.check.Walk
---@field tokens durward.config.Token[]
---@field at integer
---@field scopes table<string, { kind?: durward.check.Kind }>[]
---@field depth integer  of functions
local Walk = {}
Walk.__index = Walk

-- Tokens.

function Walk:text()
  local token = self.tokens[self.at]
  return token and token.kind == "op" and token.text or nil
end

function Walk:is(text)
  return self:text() == text
end

function Walk:skip(text)
  if self:is(text) then
    self.at = self.at + 1
    return true
  end
  return false
end

function Walk:name()
  local token = self.tokens[self.at]
  if token and token.kind == "name" then
    self.at = self.at + 1
    return token.text, token.line
  end
  return nil
end

function Walk:line()
  local token = self.tokens[self.at] or self.tokens[#self.tokens]
  return token and token.line or 1
end

function Walk:tell(line, message, ...)
  self.findings[#self.findings + 1] = { line = line, message = message:format(...) }
end

local function hint(word, list, prefix)
  local nearest = #word > 1 and core.nearest(word, list)
  return nearest and (", did you mean '%s%s'?"):format(prefix or "", nearest) or ""
end

local function keys_of(...)
  local list = {}
  for _, set in ipairs { ... } do
    for key in pairs(set) do
      list[#list + 1] = key
    end
  end
  table.sort(list)
  return list
end

-- Scopes.

function Walk:open()
  self.scopes[#self.scopes + 1] = {}
end

function Walk:close()
  self.scopes[#self.scopes] = nil
end

function Walk:declare(name, kind)
  self.scopes[#self.scopes][name] = { kind = kind }
end

function Walk:find(name)
  for i = #self.scopes, 1, -1 do
    if self.scopes[i][name] then
      return self.scopes[i][name]
    end
  end
  return nil
end

function Walk:global(name, line)
  local known = words[name]
  if known == nil then
    self:tell(line, "undefined name '%s'%s", name, hint(name, keys_of(words, table.unpack(self.scopes))))
  end
  return type(known) == "table" and { is = "library", name = name, fields = known } or { is = "text", name = name }
end

-- What a field of a known value is; a field that cannot be is told.

local function module_kind(name, value)
  if type(value) == "table" then
    return { is = "module", name = name, fields = value }
  end
  local module, word = name:match("^(.*)%.([^.]*)$")
  return { is = "word", name = word, module = module }
end

function Walk:event_field(kind, key, line)
  local dot = kind.name == "" and "" or "."
  local known = kind.fields[key]
  if known == nil then
    self:tell(line, "unknown event field '%s%s%s'%s", kind.name, dot, key,
      hint(key, keys_of(kind.fields), kind.name .. dot))
  elseif type(known) == "table" then
    return { is = key == "principal" and "principal" or "part", name = kind.name .. dot .. key, fields = known }
  end
  return nil
end

function Walk:field(kind, key, line)
  if not kind or not kind.fields then
    return nil
  elseif kind.is == "event" or kind.is == "part" or kind.is == "principal" then
    return self:event_field(kind, key, line)
  end
  local known = kind.fields[key]
  if known == nil then
    self:tell(line, "%s has no '%s'%s", kind.name, key, hint(key, keys_of(kind.fields)))
    return nil
  end
  return kind.is == "module" and module_kind(kind.name .. "." .. key, known) or nil
end

-- Expressions.  Each gives what is known of its value.

--- A function, from its parameters on.  `takes`: its first parameter is the event.
function Walk:body(takes, method)
  self.depth = self.depth + 1
  self:open()
  if method then
    self:declare("self")
  end
  self:skip("(")
  local first = true
  while self.tokens[self.at] and not self:is(")") do
    local name = self:name()
    if name then
      local is_event = name == "event" or (takes and first)
      self:declare(name, is_event and { is = "event", name = "", fields = self.event } or nil)
    else
      self.at = self.at + 1
    end
    first = false
    self:skip(",")
  end
  self:skip(")")
  self:block()
  self:skip("end")
  self:close()
  self.depth = self.depth - 1
end

--- `allowed`: a list of the only keys that there may be; `hooks`: this is the policy.
function Walk:constructor(allowed, hooks, takes)
  self:skip("{")
  while self.tokens[self.at] and not self:is("}") do
    local token, after = self.tokens[self.at], self.tokens[self.at + 1]
    if token.kind == "name" and after and after.kind == "op" and after.text == "=" then
      self.at = self.at + 2
      if allowed and not allowed[token.text] then
        self:tell(token.line, "%s has no field '%s'%s", allowed[0], token.text, hint(token.text, allowed))
      end
      self:expression(takes or (hooks and HOOKS[token.text]))
    elseif self:skip("[") then
      self:expression()
      self:skip("]")
      self:skip("=")
      self:expression()
    else
      self:expression(takes)
    end
    if not (self:skip(",") or self:skip(";")) then
      break
    end
  end
  self:skip("}")
end

-- A call's arguments; what require gives is known.
function Walk:arguments(callee)
  local token = self.tokens[self.at]
  local takes = callee and callee.is == "word" and TAKE_EVENTS[callee.module]
  local requires = callee and callee.is == "text" and callee.name == "require"
  if token.kind == "string" then
    self.at = self.at + 1
    return requires and self:required(token.text) or nil
  elseif self:is("{") then
    local fields = callee and callee.is == "word" and callee.module == "durward" and DECISIONS[callee.name]
    local allowed
    if fields then
      allowed = { [0] = "durward." .. callee.name, table.unpack(fields) }
      for _, field in ipairs(fields) do
        allowed[field] = true
      end
    end
    self:constructor(allowed, false, takes)
    return nil
  end
  self:skip("(")
  token = self.tokens[self.at]
  local module = requires and token and token.kind == "string" and token.text
  if self:is("{") and callee and callee.module == "durward" and DECISIONS[callee.name] then
    self:arguments(callee)
  end
  while self.tokens[self.at] and not self:is(")") do
    local before = self.at
    self:expression(takes)
    if not self:skip(",") and self.at == before then
      break
    end
  end
  self:skip(")")
  return module and self:required(module) or nil
end

function Walk:required(name)
  if name == "durward" or name:find("^durward%.") then
    local ok, module = pcall(require, name)
    return ok and module_kind(name, module) or nil
  end
  self.requires[#self.requires + 1] = name
  return nil
end

--- A name or a parenthesis and what follows it.  Of a statement also the target, when it is one.
function Walk:suffixed(is_statement)
  local function is_set()
    return is_statement and (self:is("=") or self:is(","))
  end
  local kind, place = nil, nil
  local name, line = self:name()
  if name then
    place = self:find(name)
    if place then
      kind = place.kind
    elseif is_set() then
      return nil, { global = name, line = line }
    else
      kind = self:global(name, line)
    end
  elseif self:skip("(") then
    kind = self:expression()
    self:skip(")")
  end
  local target = name and { place = place, line = line, global = not place and name or nil }
  while self.tokens[self.at] do
    local token, at = self.tokens[self.at], self.at
    if self:skip(".") then
      local key, key_line = self:name()
      target = { owner = kind, key = key, line = key_line or token.line }
      kind = key and not is_set() and self:field(kind, key, key_line) or nil
    elseif self:skip("[") then
      local literal = self.tokens[self.at]
      local closes = self.tokens[self.at + 1]
      local key = literal and literal.kind == "string" and closes and closes.text == "]" and literal.text
      self:expression()
      self:skip("]")
      target = { owner = kind, key = key, line = token.line }
      kind = key and not is_set() and self:field(kind, key, token.line) or nil
    elseif self:is(":") and not (self.tokens[at + 1] and self.tokens[at + 1].text == ":") then
      self.at = self.at + 1
      self:name()
      kind, target = self:arguments(nil), nil
    elseif token.kind == "string" or self:is("(") or self:is("{") then
      kind, target = self:arguments(kind), nil
    else
      break
    end
  end
  return kind, target
end

function Walk:simple(takes)
  local token = self.tokens[self.at]
  if not token then
    return nil
  elseif token.kind == "string" then
    self.at = self.at + 1
    return { is = "string", name = token.text }
  elseif token.kind == "number" or self:is("nil") or self:is("true") or self:is("false") or self:is("...") then
    self.at = self.at + 1
    return nil
  elseif self:is("{") then
    self:constructor(nil, false, takes)
    return nil
  elseif self:skip("function") then
    self:body(takes)
    return nil
  end
  return (self:suffixed())
end

function Walk:expression(takes)
  while UNARY[self:text() or ""] do
    self.at = self.at + 1
    takes = nil
  end
  local left = self:simple(takes)
  local whole = left
  while BINARY[self:text() or ""] do
    local operator, line = self:text(), self:line()
    self.at = self.at + 1
    if operator == "/" or operator == "<" or operator == ">" then
      self:skip(operator)
    end
    while UNARY[self:text() or ""] do
      self.at = self.at + 1
    end
    local right = self:simple()
    if operator == "==" or operator == "~=" then
      self:compare(left, right, line)
    end
    left, whole = right, nil
  end
  return whole
end

-- A principal is never equal to a text.
function Walk:compare(left, right, line)
  if not left or not right then
    return
  end
  local one = left.is == "principal" and left or right.is == "principal" and right
  if one and (left.is == "string" or right.is == "string") then
    self:tell(line, "event.%s is not text: compare event.%s.name", one.name, one.name)
  end
end

-- Statements.

function Walk:expressions()
  local kinds, count = {}, 0
  repeat
    count = count + 1
    kinds[count] = self:expression()
  until not self:skip(",")
  return kinds
end

function Walk:assign(target)
  if not target then
    return
  elseif target.global then
    self:tell(target.line, "assignment to global '%s': declare it with 'local'", target.global)
  elseif target.place then
    target.place.kind = nil
  elseif target.key and target.owner then
    local owner = target.owner
    if owner.is == "event" or owner.is == "part" or owner.is == "principal" then
      self:tell(target.line, "event field '%s%s%s' cannot be set: events are read-only", owner.name,
        owner.name == "" and "" or ".", target.key)
    elseif owner.fields then
      self:tell(target.line, "%s.%s cannot be set: this table is read-only", owner.name, target.key)
    end
  end
end

local statements = {}

statements["local"] = function(walk)
  if walk:skip("function") then
    walk:declare((walk:name()))
    walk:body()
    return
  end
  local names = {}
  repeat
    names[#names + 1] = walk:name()
    if walk:skip("<") then
      walk:name()
      if walk:is(">=") then
        walk.tokens[walk.at] = { kind = "op", text = "=", line = walk:line() }
      else
        walk:skip(">")
      end
    end
  until not walk:skip(",")
  local kinds = walk:skip("=") and walk:expressions() or {}
  for i, name in ipairs(names) do
    walk:declare(name, kinds[i])
  end
end

statements["function"] = function(walk)
  local name, line = walk:name()
  local place = walk:find(name)
  local method, fields = false, false
  while walk:is(".") or walk:is(":") do
    method, fields = walk:is(":"), true
    walk.at = walk.at + 1
    walk:name()
  end
  if not place and not fields then
    walk:assign({ global = name, line = line })
  elseif not place then
    walk:global(name, line)
  end
  walk:body(false, method)
end

statements["if"] = function(walk)
  repeat
    walk:expression()
    walk:skip("then")
    walk:scoped()
  until not walk:skip("elseif")
  if walk:skip("else") then
    walk:scoped()
  end
  walk:skip("end")
end

statements["while"] = function(walk)
  walk:expression()
  walk:skip("do")
  walk:scoped()
  walk:skip("end")
end

statements["do"] = function(walk)
  walk:scoped()
  walk:skip("end")
end

statements["for"] = function(walk)
  local names = {}
  repeat
    names[#names + 1] = walk:name()
  until not walk:skip(",")
  if not walk:skip("=") then
    walk:skip("in")
  end
  walk:expressions()
  walk:skip("do")
  walk:open()
  for _, name in ipairs(names) do
    walk:declare(name)
  end
  walk:block()
  walk:close()
  walk:skip("end")
end

statements["repeat"] = function(walk)
  walk:open()
  walk:block()
  walk:skip("until")
  walk:expression() -- which still sees the block's locals
  walk:close()
end

statements["return"] = function(walk)
  if walk.depth == 0 and walk:is("{") then
    walk:constructor(nil, true)
    walk:skip(";")
  elseif walk.tokens[walk.at] and not BLOCK_ENDS[walk:text() or ""] and not walk:is(";") then
    walk:expressions()
  end
  walk:skip(";")
end

statements["goto"] = function(walk)
  walk:name()
end

statements["break"] = function() end

statements[";"] = function() end

statements[":"] = function(walk) -- ::label::
  walk:skip(":")
  walk:name()
  walk:skip(":")
  walk:skip(":")
end

function Walk:scoped()
  self:open()
  self:block()
  self:close()
end

function Walk:block()
  while self.tokens[self.at] and not BLOCK_ENDS[self:text() or ""] do
    local before = self.at
    local statement = self:text() and statements[self:text()]
    if statement then
      self.at = self.at + 1
      statement(self)
    else
      local targets = {}
      repeat
        local _, target = self:suffixed(true)
        targets[#targets + 1] = target or false
      until not self:skip(",")
      if self:skip("=") then
        self:expressions()
        for _, target in ipairs(targets) do
          self:assign(target)
        end
      end
    end
    if self.at == before then -- nothing that compiles comes here
      self.at = before + 1
    end
  end
end

local walk = {}

--- Findings of one file, and what it requires from beside it.
---@param text string  which compiles
---@param event table  the event's fields: a name and true, or the table of its own
---@return { line: integer, message: string }[] findings
---@return string[] requires
function walk.file(text, event)
  local self = setmetatable({
    tokens = source.tokens(text), at = 1, scopes = {}, depth = 0, findings = {}, requires = {}, event = event,
  }, Walk)
  self:scoped()
  return self.findings, self.requires
end

return walk
