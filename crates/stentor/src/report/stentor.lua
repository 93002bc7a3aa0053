-- Columns and filters for the files that "stentor trace" writes for Wireshark.
--
-- Wireshark: copy this file to the folder "Personal Lua Plugins" (Help, About, Folders).
-- tshark:    tshark -X lua_script:stentor.lua -r run.pcapng -T fields -e frame.number -e stentor.call
--
-- It reads the comments of packets, "cause: WHO: GRADE by RULE", and the entries of calls.

local stentor = Proto("stentor", "Stentor trace")

local fields = {
  call = ProtoField.string("stentor.call", "Call", base.UNICODE, "The call itself, or the one that made the packet leave"),
  cause = ProtoField.string("stentor.cause", "Cause", base.UNICODE, "Why the packet left"),
  effect = ProtoField.string("stentor.effect", "Effect", base.UNICODE, "The call to which the packet brought something"),
  grade = ProtoField.string("stentor.grade", "Grade", base.UNICODE, "How sure the cause is: exact, kernel, timer, exit, inferred or unknown"),
  rule = ProtoField.string("stentor.rule", "Rule", base.UNICODE, "By which rule the cause was found"),
  result = ProtoField.string("stentor.result", "Result", base.UNICODE, "What the call gave back, or its error"),
}
stentor.fields = fields

local comments = Field.new("frame.comment")
local message = Field.new("systemd_journal.message")
local names = Field.new("systemd_journal.field.name")
local values = Field.new("systemd_journal.field.value")

local subtree

local function add(tree, field, text)
  subtree = subtree or tree:add(stentor)
  subtree:add(field, text)
end

local function packet(tree, comment)
  local relation, who, grade, rule = comment:match("^(%a+): (.*): (%a+) by ([%a-]+)")
  if relation == "cause" then
    add(tree, fields.cause, who)
    add(tree, fields.grade, grade)
    add(tree, fields.rule, rule)
    if who:match("^[%w_]+%(.*%) = .* of .*%]$") then
      add(tree, fields.call, who)
    end
  elseif relation == "effect" then
    add(tree, fields.effect, who)
  end
end

local function call(tree, text)
  local found = { values() }
  for place, name in ipairs({ names() }) do
    if name.value == "STENTOR_RESULT" and found[place] then
      add(tree, fields.call, text)
      add(tree, fields.result, found[place].value)
    end
  end
end

function stentor.dissector(_, _, tree)
  subtree = nil
  for _, comment in ipairs({ comments() }) do
    packet(tree, comment.value)
  end
  local text = message()
  if text then
    call(tree, text.value)
  end
end

register_postdissector(stentor)
