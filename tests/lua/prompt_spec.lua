local show = require("durward.prompt").show

describe("the prompt", function()
  it("shows values as print has them", function()
    assert.equal("2\ty\tnil\ttrue", show(2, "y", nil, true))
    assert.equal("", show())
    assert.equal("a/b@C", show(require("durward.principal").parse("a/b@C")))
  end)

  it("opens tables, in order", function()
    assert.equal("{}", show({}))
    assert.equal('{ "x", { b = {} }, a = 1, ["c d"] = false }', show({ "x", { b = {} }, a = 1, ["c d"] = false }))
    assert.equal('{ [true] = 2, [1.5] = 1, a = "\\"\\n\\\\" }', show({ [1.5] = 1, [true] = 2, a = '"\n\\' }))
    assert.equal('{ "\\xff\\x1b[2J" }', show({ "\xff\27[2J" }))
  end)

  it("breaks what does not fit into a line", function()
    local long = ("x"):rep(50)
    assert.equal(('{\n  "%s",\n  "%s",\n}'):format(long, long), show({ long, long }))
  end)

  it("ends, whatever it is given", function()
    local loop = {}
    loop.me = loop
    assert.truthy(show(loop):find("^{ me = table: "))
    local deep = {}
    for _ = 1, 50 do
      deep = { deep }
    end
    assert.truthy(show(deep):find("{ .. }", 1, true))
    local wide = {}
    for i = 1, 1000 do
      wide[i] = i
    end
    assert.truthy(show(wide):find("..900 more", 1, true))
  end)

  it("leaves alone what prints itself", function()
    assert.equal("me", show(setmetatable({}, { __tostring = function() return "me" end })))
    assert.truthy(show(setmetatable({ 1 }, { __metatable = false })):find("^table: "))
  end)
end)
