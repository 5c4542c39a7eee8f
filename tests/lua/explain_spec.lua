--- `durward explain` as an operator meets it; run by the binary that runs this spec.
local function explain(arguments, input)
  local path = os.tmpname()
  local command = ("exec \"/proc/$PPID/exe\" explain %s >%s 2>&1"):format(arguments, path)
  local pipe = assert(io.popen(command, "w"))
  pipe:write(input or "")
  local _, _, code = pipe:close()
  local file = assert(io.open(path))
  local text = file:read("a")
  file:close()
  os.remove(path)
  return code, text
end

local HOME = "-p policies/same_realm.lua --service zmq/broker@HOME.EXAMPLE "

describe("explain", function()
  it("says yes and by which rule, exit 0", function()
    local code, text = explain(HOME .. "--principal alice@HOME.EXAMPLE --front zmtp")
    assert.equal(0, code)
    assert.equal("allow alice", text:match("^[^\n]*"))
    assert.truthy(text:find('rule "people of the realm" matched: allow  (policies/same_realm.lua:', 1, true))
  end)

  it("says no and why, exit 3", function()
    local code, text = explain(HOME .. "--principal alice@OTHER.EXAMPLE")
    assert.equal(3, code)
    assert.truthy(text:find("not mapped: realm is OTHER.EXAMPLE, not HOME.EXAMPLE", 1, true))
  end)

  it("takes an event from a file, and options before it", function()
    local event = '{"principal":"bob@HOME.EXAMPLE","service":"zmq/broker@HOME.EXAMPLE"}'
    assert.equal("allow bob", select(2, explain("-p policies/same_realm.lua --event -", event)):match("^[^\n]*"))
    local code = explain("-p policies/same_realm.lua --principal x@Y --event -", event)
    assert.equal(3, code)
  end)

  it("takes a line of the journal", function()
    local code, text = explain(HOME .. "--principal alice@HOME.EXAMPLE --json")
    assert.equal(0, code)
    assert.equal(0, (explain("-p policies/same_realm.lua --event -", text)))
    assert.truthy(text:find('"decision":{"verdict":"allow","user":"alice"', 1, true))
  end)

  it("asks a list of policies in order", function()
    local code, text = explain("-p policies/cross_realm.lua " .. HOME .. "--principal a@B --peer '[::1]:9' ")
    assert.equal(3, code)
    assert.truthy(text:find("policies/cross_realm.lua", 1, true))
    assert.equal(3, (explain("-p policies/deny_all.lua " .. HOME .. "--principal alice@HOME.EXAMPLE")))
  end)

  it("takes a configuration's policies and what it refuses", function()
    local folder = os.tmpname()
    os.remove(folder)
    assert(os.execute("mkdir " .. folder))
    local function write(name, text)
      local file <close> = assert(io.open(folder .. "/" .. name, "w"))
      file:write(text)
    end
    local one = 'return { map = function(e) return e.principal.primary end, authorize = function() %s end }'
    write("first.lua", one:format("return nil"))
    write("second.lua", one:format("return require('durward').allow{}"))
    write("c.lua", 'return { policy = { "first.lua", "second.lua" }, refuse_users = { "bob" } }')
    local with = "-c " .. folder .. "/c.lua --principal "
    assert.equal("allow alice", select(2, explain(with .. "alice@X")):match("^[^\n]*"))
    assert.equal("allow root", select(2, explain(with .. "root@X")):match("^[^\n]*"))
    local code, text = explain(with .. "bob@X")
    assert.equal(3, code)
    assert.truthy(text:find("the user 'bob' stands in refuse_users", 1, true), text)
    assert.equal(3, (explain(with .. "alice@X -p " .. folder .. "/first.lua")))
    write("c.lua", 'return { polcy = "first.lua" }')
    code, text = explain(with .. "alice@X")
    assert.equal(2, code)
    assert.truthy(text:find("c.lua:1: unknown key 'polcy', did you mean 'policy'?", 1, true), text)
    write("c.lua", "return {}")
    code, text = explain(with .. "alice@X")
    assert.equal(2, code)
    assert.truthy(text:find("names no policy", 1, true), text)
    os.execute("rm -r " .. folder)
  end)

  it("exits 4 for a policy that fails, without a traceback", function()
    local path = os.tmpname()
    local file = assert(io.open(path, "w"))
    file:write("return { map = function(event)\n return event.princpal end }")
    file:close()
    local code, text = explain("-p " .. path .. " --principal alice@HOME.EXAMPLE")
    assert.equal(4, code)
    assert.truthy(text:find(":2: unknown event field 'princpal', did you mean 'principal'?", 1, true))
    assert.is_nil(text:find("traceback", 1, true))
    code, text = explain("--log -p " .. path .. " --principal alice@HOME.EXAMPLE")
    assert.equal(4, code)
    assert.truthy(text:find("traceback", 1, true))
    os.remove(path)
  end)

  local mistakes = {
    { "", "name a policy: -p FILE" },
    { HOME:gsub("%-%-service.*", ""), "describe an event: --event FILE, --principal NAME and others" },
    { HOME .. "--princpal x", "unknown option '--princpal', did you mean '--principal'?" },
    { HOME .. "--principal", "--principal needs a value" },
    { HOME .. "stray", "'stray' is not an option" },
    { HOME .. "--front zmpt", "event field 'front': there is no front 'zmpt', did you mean 'zmtp'?" },
    { HOME .. "--peer 192.0.2.1:http", "--peer: 'http' is not a port" },
    { HOME .. "--event missing.json", "missing.json: unable to open missing.json: No such file or directory" },
    { HOME .. "--event -", "standard input:2:", '{"principal":\n!' },
    { HOME .. "--event -", "unknown event field 'usr', did you mean 'user'?", '{"usr":"x"}' },
    { HOME .. "--event -", "standard input: an event is a JSON object", "[]" },
    { "-p missing.lua --id 1", "missing.lua: No such file or directory" },
    { "-p policies --id 1", "policies: not a regular file" },
  }
  for _, case in ipairs(mistakes) do
    it("exits 2: " .. case[2], function()
      local code, text = explain(case[1], case[3])
      assert.equal(2, code)
      assert.truthy(text:find(case[2], 1, true), text)
    end)
  end

  it("prints what policies/README.md shows", function()
    local command, wanted, shown, sections = nil, nil, 0, 0
    local function compare()
      if command then
        local _, text = explain(command)
        assert.equal(table.concat(wanted, "\n") .. "\n", text)
        shown = shown + 1
      end
      command = nil
    end
    for line in io.lines("policies/README.md") do
      sections = sections + (line:find("^## .*%.lua`$") and 1 or 0)
      local call = line:match("^    %$ durward explain (.*)$")
      local output = line:match("^    (.*)$")
      if call then
        command, wanted = call, {}
      elseif output and command then
        wanted[#wanted + 1] = output
      else
        compare()
      end
    end
    assert.truthy(shown > 0)
    assert.equal(sections, shown)
  end)
end)
