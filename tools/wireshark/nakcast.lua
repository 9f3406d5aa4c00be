-- A Wireshark dissector for nakcast, version 1 of the wire format (the layout stands in src/wire/mod.rs).
--
-- It recognises datagrams by their first bytes, on any UDP or TCP port, checks them, opens batches into messages, and
-- follows the offsets of each session: gaps, duplicates, repairs and what they answer. README.md beside it has the
-- filters. Runs with the Lua of Wireshark 3.4 and later (5.2 to 5.4).

local nakcast = Proto("nakcast", "nakcast")

local HEADER_BYTES = 32
local RANGE_BYTES = 12
local GONE_BYTES = 24
local MAGIC = 0x4B4E
local VERSION = 1
-- Bounds of what is remembered of a session, however long the capture.
local MOST_GAPS = 1024
local MOST_NAKS = 1024

local KINDS = {
    [1] = "DATA", [2] = "HEARTBEAT", [3] = "END", [4] = "NAK", [5] = "STATUS",
    [6] = "WELCOME", [7] = "GONE", [8] = "SHED", [9] = "HELLO", [10] = "CLOSE",
    [11] = "ROWS",
}
local GONE_REASONS = {
    [1] = "OVERRUN", [2] = "EXPIRED", [3] = "NOT_DURABLE", [4] = "DAMAGED", [5] = "EVICTED",
}
local CLOSE_REASONS = {
    [1] = "STREAM", [2] = "FULL", [3] = "BROKEN", [4] = "SLOW", [5] = "EVICTED",
}
local STARTS = { [0] = "LIVE", [1] = "EARLIEST", [2] = "AT" }
local CHECKSUM_STATES = { [0] = "Bad", [1] = "Good", [2] = "Unverified" }

local FLAG_REPAIR, FLAG_OPENING, FLAG_TIMESTAMP = 0x01, 0x02, 0x04
local FRAME_FILTERED = 0x04

-- Bits ------------------------------------------------------------------------------------------------------------

local band, bxor, rshift
if bit32 then
    band, bxor, rshift = bit32.band, bit32.bxor, bit32.rshift
else
    -- Lua 5.3 has operators instead, which 5.2 could not even parse.
    local operators = load("return function(a, b) return a & b end, function(a, b) return a ~ b end, "
        .. "function(a, n) return (a & 0xFFFFFFFF) >> n end")
    band, bxor, rshift = operators()
end

local crc_table = {}
for index = 0, 255 do
    local value = index
    for _ = 1, 8 do
        value = band(value, 1) == 1 and bxor(rshift(value, 1), 0xEDB88320) or rshift(value, 1)
    end
    crc_table[index] = value
end

-- CRC-32 (IEEE) of a datagram, with the checksum and the REPAIR bit taken as 0.
local function checksum_of(bytes)
    local crc = 0xFFFFFFFF
    for at = 1, #bytes do
        local byte = bytes:byte(at)
        if at == 4 then
            byte = byte - byte % 2
        elseif at >= 5 and at <= 8 then
            byte = 0
        end
        crc = bxor(rshift(crc, 8), crc_table[band(bxor(crc, byte), 0xFF)])
    end
    return bxor(crc, 0xFFFFFFFF) % 4294967296
end

-- Fields ----------------------------------------------------------------------------------------------------------

local f = {
    version = ProtoField.uint8("nakcast.version", "Version", base.DEC, nil, 0xF0),
    kind = ProtoField.uint8("nakcast.kind", "Kind", base.DEC, KINDS, 0x0F),
    flags = ProtoField.uint8("nakcast.flags", "Flags", base.HEX),
    repair = ProtoField.bool("nakcast.flags.repair", "Sent again (REPAIR)", 8, nil, FLAG_REPAIR),
    opening = ProtoField.bool("nakcast.flags.opening", "Session's opening (OPENING)", 8, nil, FLAG_OPENING),
    timestamp = ProtoField.bool("nakcast.flags.timestamp", "Time of sending (TIMESTAMP)", 8, nil, FLAG_TIMESTAMP),
    checksum = ProtoField.uint32("nakcast.checksum", "Checksum", base.HEX),
    checksum_status = ProtoField.uint8("nakcast.checksum.status", "Checksum status", base.DEC, CHECKSUM_STATES),
    stream = ProtoField.uint32("nakcast.stream", "Stream"),
    count = ProtoField.uint16("nakcast.count", "Count"),
    length = ProtoField.uint16("nakcast.length", "Length"),
    session = ProtoField.uint64("nakcast.session", "Session", base.HEX),
    base = ProtoField.uint64("nakcast.base", "Base"),
    sent = ProtoField.absolute_time("nakcast.sent", "Sent", base.UTC),
    padding = ProtoField.bytes("nakcast.padding", "Padding"),
    -- HEARTBEAT, END
    oldest = ProtoField.uint64("nakcast.oldest", "Oldest offset held"),
    receivers = ProtoField.uint32("nakcast.receivers", "Live receivers"),
    grtt = ProtoField.uint32("nakcast.grtt_us", "Group round trip (µs)"),
    status_ms = ProtoField.uint16("nakcast.status_ms", "STATUS wanted every (ms)"),
    tcp_port = ProtoField.uint16("nakcast.tcp_port", "TCP port of the history"),
    heartbeat_flags = ProtoField.uint16("nakcast.heartbeat.flags", "Heartbeat flags", base.HEX),
    poll = ProtoField.bool("nakcast.heartbeat.poll", "Asks for a STATUS (POLL)", 16, nil, 0x0001),
    block = ProtoField.bool("nakcast.heartbeat.block", "Waits for its slowest receiver (BLOCK)", 16, nil, 0x0002),
    -- NAK, STATUS, WELCOME, SHED, HELLO
    receiver = ProtoField.uint64("nakcast.receiver", "Receiver", base.HEX),
    token = ProtoField.uint64("nakcast.token", "Token", base.HEX),
    range = ProtoField.none("nakcast.range", "Range"),
    range_from = ProtoField.uint64("nakcast.range.from", "From"),
    range_count = ProtoField.uint32("nakcast.range.count", "Offsets"),
    time = ProtoField.uint64("nakcast.status.time", "Receiver's time"),
    window = ProtoField.uint32("nakcast.status.window", "Window"),
    rtt = ProtoField.uint32("nakcast.status.rtt_us", "Round trip (µs)"),
    delivered = ProtoField.uint64("nakcast.status.delivered", "Delivered"),
    lost = ProtoField.uint64("nakcast.status.lost", "Lost"),
    naks = ProtoField.uint64("nakcast.status.naks", "NAKs sent"),
    kernel_drops = ProtoField.uint64("nakcast.status.kernel_drops", "Dropped by its kernel"),
    lag = ProtoField.uint32("nakcast.status.lag_us", "Behind (µs)"),
    status_flags = ProtoField.uint16("nakcast.status.flags", "Status flags", base.HEX),
    leaving = ProtoField.bool("nakcast.status.leaving", "Goes away (LEAVING)", 16, nil, 0x0001),
    observer = ProtoField.bool("nakcast.status.observer", "Only looks on (OBSERVER)", 16, nil, 0x0002),
    fetching = ProtoField.bool("nakcast.status.fetching", "Gets what it lacks over a connection (FETCHING)", 16, nil, 0x0004),
    echo = ProtoField.uint64("nakcast.welcome.echo", "Receiver's time, echoed"),
    gone = ProtoField.none("nakcast.gone", "Gone"),
    gone_from = ProtoField.uint64("nakcast.gone.from", "From"),
    gone_to = ProtoField.uint64("nakcast.gone.to", "To (not included)"),
    gone_reason = ProtoField.uint8("nakcast.gone.reason", "Reason", base.DEC, GONE_REASONS),
    retry_after = ProtoField.uint32("nakcast.shed.retry_after_us", "Ask again after (µs)"),
    hello_to = ProtoField.uint64("nakcast.hello.to", "To (not included)"),
    hello_start = ProtoField.uint8("nakcast.hello.start", "Begins", base.DEC, STARTS),
    hello_observer = ProtoField.bool("nakcast.hello.observer", "Only looks on (OBSERVER)", 8, nil, 0x01),
    hello_credentials = ProtoField.uint16("nakcast.hello.credentials", "Bytes of credentials"),
    hello_topic = ProtoField.string("nakcast.hello.topic", "Topics that begin with"),
    close_reason = ProtoField.uint16("nakcast.close.reason", "Reason", base.DEC, CLOSE_REASONS),
    hello_rows = ProtoField.bool("nakcast.hello.rows", "Asks for rows of receivers (ROWS)", 8, nil, 0x02),
    rows_left = ProtoField.uint32("nakcast.rows.left", "Rows that follow"),
    row = ProtoField.none("nakcast.row", "Receiver"),
    row_next = ProtoField.uint64("nakcast.row.next", "Next wanted"),
    row_heard = ProtoField.uint32("nakcast.row.heard_ms", "Heard so long ago (ms)"),
    row_address = ProtoField.ipv6("nakcast.row.address", "Address"),
    row_port = ProtoField.uint16("nakcast.row.port", "Port"),
    row_flags = ProtoField.uint16("nakcast.row.flags", "Row flags", base.HEX),
    reserved = ProtoField.bytes("nakcast.reserved", "Reserved"),
    -- Messages
    message = ProtoField.none("nakcast.message", "Message"),
    message_length = ProtoField.uint16("nakcast.message.length", "Payload length"),
    message_flags = ProtoField.uint8("nakcast.message.flags", "Flags", base.HEX),
    first = ProtoField.bool("nakcast.message.first", "First fragment", 8, nil, 0x01),
    last = ProtoField.bool("nakcast.message.last", "Last fragment", 8, nil, 0x02),
    filtered = ProtoField.bool("nakcast.message.filtered", "Left out for this subscriber", 8, nil, FRAME_FILTERED),
    topic_length = ProtoField.uint8("nakcast.message.topic_length", "Topic length"),
    message_offset = ProtoField.uint64("nakcast.message.offset", "Offset"),
    message_offsets = ProtoField.uint16("nakcast.message.offsets", "Offsets left out"),
    fragment = ProtoField.bool("nakcast.message.fragment", "One of several fragments"),
    topic = ProtoField.string("nakcast.topic", "Topic"),
    payload = ProtoField.bytes("nakcast.payload", "Payload"),
    -- What follows from the datagrams before
    analysis = ProtoField.none("nakcast.analysis", "Sequence analysis"),
    gap = ProtoField.uint64("nakcast.analysis.gap", "Offsets missing before this datagram"),
    gap_from = ProtoField.uint64("nakcast.analysis.gap.from", "First offset missing"),
    duplicate = ProtoField.bool("nakcast.analysis.duplicate", "All seen before"),
    late = ProtoField.uint64("nakcast.analysis.late", "Offsets that were missing, out of order"),
    is_repair = ProtoField.bool("nakcast.analysis.repair", "Repair"),
    mended = ProtoField.uint64("nakcast.analysis.repair.mended", "Offsets that this capture had missed"),
    nak_frame = ProtoField.framenum("nakcast.analysis.repair.nak", "First asked for in", base.NONE, frametype.REQUEST),
    repair_time = ProtoField.double("nakcast.analysis.repair.time", "Seconds since first asked for"),
    asked = ProtoField.uint64("nakcast.analysis.nak.asked", "Offsets asked for"),
    seen = ProtoField.uint64("nakcast.analysis.nak.seen", "Of these seen in this capture"),
    repair_frame = ProtoField.framenum("nakcast.analysis.nak.repair", "First repaired in", base.NONE, frametype.RESPONSE),
    offsets_gone = ProtoField.uint64("nakcast.analysis.gone", "Offsets that nobody can repair"),
    drops = ProtoField.uint64("nakcast.analysis.kernel_drops", "Dropped by its kernel since its last STATUS"),
}

local e = {
    checksum = ProtoExpert.new("nakcast.checksum.bad", "The checksum does not fit", expert.group.CHECKSUM,
        expert.severity.ERROR),
    broken = ProtoExpert.new("nakcast.broken", "Breaks the format", expert.group.MALFORMED, expert.severity.ERROR),
    trailing = ProtoExpert.new("nakcast.trailing", "Bytes behind it that are neither padding nor a datagram",
        expert.group.PROTOCOL, expert.severity.WARN),
    skipped = ProtoExpert.new("nakcast.skipped", "Not at the start of a datagram", expert.group.SEQUENCE,
        expert.severity.NOTE),
    gap = ProtoExpert.new("nakcast.gap", "Gap", expert.group.SEQUENCE, expert.severity.WARN),
    duplicate = ProtoExpert.new("nakcast.duplicate", "Duplicate", expert.group.SEQUENCE, expert.severity.NOTE),
    late = ProtoExpert.new("nakcast.late", "Out of order", expert.group.SEQUENCE, expert.severity.NOTE),
    repair = ProtoExpert.new("nakcast.repair", "Repair", expert.group.SEQUENCE, expert.severity.NOTE),
    nak = ProtoExpert.new("nakcast.nak", "Asks again", expert.group.SEQUENCE, expert.severity.NOTE),
    gone = ProtoExpert.new("nakcast.lost", "Lost for good", expert.group.SEQUENCE, expert.severity.WARN),
    drops = ProtoExpert.new("nakcast.dropped", "A receiver's kernel drops", expert.group.SEQUENCE,
        expert.severity.WARN),
}

nakcast.fields = f
nakcast.experts = e

nakcast.prefs.checksum = Pref.bool("Check checksums", true, "Compute the CRC-32 of every datagram")
nakcast.prefs.analyse = Pref.bool("Follow offsets", true, "Look for gaps, duplicates and repairs in each session")
nakcast.prefs.udp_ports = Pref.range("UDP ports", "", "Taken for nakcast without a look at their bytes", 65535)
nakcast.prefs.tcp_ports = Pref.range("TCP ports", "", "Taken for nakcast without a look at their bytes", 65535)

-- Sequence analysis -----------------------------------------------------------------------------------------------

-- What was seen of a session so far, by session and, over TCP, connection; and what came of each datagram, so that
-- looking at one twice says the same.
local tracks, findings, drops = {}, {}, {}
local tcp_stream = Field.new("tcp.stream")

function nakcast.init()
    tracks, findings, drops = {}, {}, {}
end

local function seconds(time)
    return type(time) == "number" and time or time:tonumber()
end

local function overlap(from, to, other_from, other_to)
    return math.max(0, math.min(to, other_to) - math.max(from, other_from))
end

local function missing_in(track, from, to)
    local missing = 0
    for _, gap in ipairs(track.gaps) do
        missing = missing + overlap(from, to, gap.from, gap.to)
    end
    return missing
end

-- Takes [from, to) out of the gaps; how many offsets of it were missing.
local function mend(track, from, to)
    local mended, left = 0, {}
    for _, gap in ipairs(track.gaps) do
        local common = overlap(from, to, gap.from, gap.to)
        mended = mended + common
        if common == 0 then
            left[#left + 1] = gap
        else
            if gap.from < from then left[#left + 1] = { from = gap.from, to = from } end
            if to < gap.to then left[#left + 1] = { from = to, to = gap.to } end
        end
    end
    track.gaps = left
    return mended
end

-- The session has come as far as `from`: what lies between is missing.
local function advance(track, from, finding)
    if track.next and from > track.next then
        finding.gap_from, finding.gap = track.next, from - track.next
        track.gaps[#track.gaps + 1] = { from = track.next, to = from }
        if #track.gaps > MOST_GAPS then table.remove(track.gaps, 1) end
    end
    track.next = math.max(track.next or from, from)
end

local function answers(track, from, to, finding, pinfo)
    for _, nak in ipairs(track.naks) do
        if overlap(from, to, nak.from, nak.to) > 0 then
            finding.nak_frame, finding.repair_time = nak.frame, seconds(pinfo.rel_ts) - nak.time
            nak.finding.repair_frame = nak.finding.repair_frame or pinfo.number
            return
        end
    end
end

local on = {}

function on.DATA(track, datagram, finding, pinfo)
    local from, to = datagram.base, datagram.base + datagram.count
    local fresh = track.next == nil or to > track.next
    advance(track, from, finding)
    local mended = mend(track, from, to)
    track.next = math.max(track.next, to)
    if datagram.is_repair then
        finding.repair, finding.mended = true, mended
        answers(track, from, to, finding, pinfo)
    elseif mended > 0 then
        finding.late = mended
    elseif not fresh then
        finding.duplicate = true
    end
end

function on.HEARTBEAT(track, datagram, finding)
    advance(track, datagram.base, finding)
end

on.END = on.HEARTBEAT

function on.NAK(track, datagram, finding, pinfo)
    finding.asked, finding.seen = 0, 0
    for _, range in ipairs(datagram.ranges) do
        local heard = math.min(range.to, track.next or 0)
        finding.asked = finding.asked + range.to - range.from
        finding.seen = finding.seen + math.max(0, heard - range.from - missing_in(track, range.from, heard))
        track.naks[#track.naks + 1] = {
            from = range.from, to = range.to, frame = pinfo.number, time = seconds(pinfo.rel_ts), finding = finding,
        }
        if #track.naks > MOST_NAKS then table.remove(track.naks, 1) end
    end
end

function on.GONE(track, datagram, finding)
    finding.gone = 0
    for _, range in ipairs(datagram.ranges) do
        finding.gone = finding.gone + range.to - range.from
        mend(track, range.from, range.to)
        -- On a connection it comes in the place of what is gone.
        if track.is_connection then track.next = math.max(track.next or range.to, range.to) end
    end
end

function on.STATUS(_, datagram, finding)
    local before = drops[datagram.who] or 0
    if datagram.drops > before then finding.drops = datagram.drops - before end
    drops[datagram.who] = datagram.drops
end

local function track_of(datagram, connection)
    local name = datagram.session .. " " .. connection
    tracks[name] = tracks[name] or { gaps = {}, naks = {}, is_connection = connection ~= "" }
    return tracks[name]
end

local function analyse(datagram, pinfo, at)
    local key = table.concat({ pinfo.number, at, datagram.name, datagram.base, datagram.count }, " ")
    if pinfo.visited or findings[key] then return findings[key] end
    local step = on[datagram.name]
    if not step then return nil end
    local connection = pinfo.port_type == 2 and tcp_stream()
    local finding = {}
    step(track_of(datagram, connection and tostring(connection.value) or ""), datagram, finding, pinfo)
    findings[key] = finding
    return finding
end

local function offsets(from, count)
    return string.format("%.0f..%.0f (%.0f)", from, from + count - 1, count)
end

local function wide(number)
    return UInt64(number % 4294967296, math.floor(number / 4294967296))
end

-- A finding as fields, expert information and words for the list of packets.
local function show_gap(tree, finding, say)
    tree:add(f.gap_from, wide(finding.gap_from))
    tree:add(f.gap, wide(finding.gap))
    tree:add_proto_expert_info(e.gap, "Gap: missing here " .. offsets(finding.gap_from, finding.gap))
    say("[gap " .. offsets(finding.gap_from, finding.gap) .. "]")
end

local function show_repair(tree, finding, say)
    tree:add(f.is_repair, true)
    tree:add(f.mended, wide(finding.mended))
    if finding.nak_frame then
        tree:add(f.nak_frame, finding.nak_frame)
        tree:add(f.repair_time, finding.repair_time)
    end
    local mended = string.format("mends %.0f missing in this capture", finding.mended)
    tree:add_proto_expert_info(e.repair, "Repair: " .. (finding.mended > 0 and mended or "seen before"))
    say("[repair]")
end

local function show_nak(tree, finding, say)
    tree:add(f.asked, wide(finding.asked))
    tree:add(f.seen, wide(finding.seen))
    if finding.repair_frame then tree:add(f.repair_frame, finding.repair_frame) end
    local text = string.format("Asks again for %.0f, of which this capture has seen %.0f", finding.asked, finding.seen)
    tree:add_proto_expert_info(e.nak, text)
    say(string.format("[%.0f of %.0f seen here]", finding.seen, finding.asked))
end

local function show_finding(tree, finding, say)
    if next(finding) == nil then return end
    local branch = tree:add(f.analysis)
    branch:set_generated()
    if finding.gap then show_gap(branch, finding, say) end
    if finding.repair then show_repair(branch, finding, say) end
    if finding.asked then show_nak(branch, finding, say) end
    if finding.duplicate then
        branch:add(f.duplicate, true)
        branch:add_proto_expert_info(e.duplicate, "Duplicate: all of it was seen before")
        say("[duplicate]")
    end
    if finding.late then
        branch:add(f.late, wide(finding.late))
        branch:add_proto_expert_info(e.late, string.format("Out of order: %.0f that were missing", finding.late))
        say("[out of order]")
    end
    if finding.gone then
        branch:add(f.offsets_gone, wide(finding.gone))
        branch:add_proto_expert_info(e.gone, string.format("Lost for good: %.0f offsets", finding.gone))
        say("[lost]")
    end
    if finding.drops then
        branch:add(f.drops, wide(finding.drops))
        branch:add_proto_expert_info(e.drops,
            string.format("Its kernel dropped %.0f: its socket buffer is too small for it", finding.drops))
        say("[kernel drops]")
    end
end

-- Bodies ----------------------------------------------------------------------------------------------------------

-- Each takes the bytes behind the header (and the timestamp), fills the tree, puts into `datagram` what the analysis
-- needs, and gives words for the list of packets; or nothing, when the bytes break the format.
local bodies = {}

local function number(range)
    return range:le_uint64():tonumber()
end

local function all_zero(body, at, bytes)
    return body:raw(at, bytes):find("[^%z]") == nil
end

function bodies.DATA(body, tree, datagram)
    local at, offset = 0, datagram.base
    local stop = datagram.base + datagram.count
    while at < body:len() do
        if body:len() - at < 4 then return nil end
        local length, flags, topic_length = body(at, 2):le_uint(), body(at + 2, 1):uint(), body(at + 3, 1):uint()
        local is_filtered = flags == FRAME_FILTERED
        local size = is_filtered and 4 or 4 + topic_length + length
        local is_sound = is_filtered and topic_length == 0 and length > 0
            or not is_filtered and flags < 4 and (topic_length == 0 or flags % 2 == 1)
        if not is_sound or at + size > body:len() then return nil end
        local message = tree:add(f.message, body(at, size))
        message:add_le(f.message_length, body(at, 2))
        local bits = message:add(f.message_flags, body(at + 2, 1))
        bits:add(f.first, body(at + 2, 1))
        bits:add(f.last, body(at + 2, 1))
        bits:add(f.filtered, body(at + 2, 1))
        message:add(f.topic_length, body(at + 3, 1))
        message:add(f.message_offset, body(at, 0), datagram.first + UInt64(offset - datagram.base)):set_generated()
        if is_filtered then
            message:add(f.message_offsets, body(at, 2), length):set_generated()
            message:set_text("Left out: " .. offsets(offset, length))
            offset = offset + length
        else
            if flags ~= 3 then message:add(f.fragment, body(at + 2, 1), true):set_generated() end
            local topic = ""
            if topic_length > 0 then
                message:add(f.topic, body(at + 4, topic_length))
                topic = ", topic " .. body(at + 4, topic_length):string()
            end
            if length > 0 then message:add(f.payload, body(at + 4 + topic_length, length)) end
            local piece = ({ [0] = ", middle fragment", ", first fragment", ", last fragment", "" })[flags]
            message:set_text(string.format("Message %.0f%s%s: %d bytes", offset, topic, piece, length))
            offset = offset + 1
        end
        at = at + size
    end
    if offset ~= stop or datagram.count == 0 then return nil end
    return offsets(datagram.base, datagram.count)
end

function bodies.HEARTBEAT(body, tree, datagram)
    if body:len() ~= 24 or datagram.count ~= 0 then return nil end
    tree:add_le(f.oldest, body(0, 8))
    tree:add_le(f.receivers, body(8, 4))
    tree:add_le(f.grtt, body(12, 4))
    tree:add_le(f.status_ms, body(16, 2))
    tree:add_le(f.tcp_port, body(18, 2))
    local flags = tree:add_le(f.heartbeat_flags, body(20, 2))
    flags:add_le(f.poll, body(20, 2))
    flags:add_le(f.block, body(20, 2))
    if body(20, 2):le_uint() > 3 or body(22, 2):le_uint() ~= 0 then return nil end
    local poll = body(20, 2):le_uint() % 2 == 1 and ", POLL" or ""
    return string.format("next %.0f, oldest %s, %d receivers%s", datagram.base, tostring(body(0, 8):le_uint64()),
        body(8, 4):le_uint(), poll)
end

bodies.END = bodies.HEARTBEAT

local function add_receiver(body, tree, datagram)
    tree:add_le(f.receiver, body(0, 8))
    datagram.who = datagram.session .. " " .. tostring(body(0, 8):le_uint64())
end

-- The ranges of a NAK or SHED from byte 16 on, ascending and disjoint.
local function ranges(body, tree, datagram)
    local texts, finish = {}, 0
    if datagram.count == 0 or datagram.count > 100 or body:len() ~= 16 + datagram.count * RANGE_BYTES then return nil end
    for index = 0, datagram.count - 1 do
        local entry = body(16 + index * RANGE_BYTES, RANGE_BYTES)
        local from, count = number(entry(0, 8)), entry(8, 4):le_uint()
        local branch = tree:add(f.range, entry)
        branch:add_le(f.range_from, entry(0, 8))
        branch:add_le(f.range_count, entry(8, 4))
        branch:set_text("Range " .. offsets(from, count))
        if count == 0 or from < finish then return nil end
        finish = from + count
        datagram.ranges[#datagram.ranges + 1] = { from = from, to = finish }
        texts[#texts + 1] = offsets(from, count)
    end
    return table.concat(texts, ", ", 1, math.min(#texts, 4)) .. (#texts > 4 and ", …" or "")
end

function bodies.NAK(body, tree, datagram)
    if body:len() < 16 then return nil end
    add_receiver(body, tree, datagram)
    tree:add_le(f.token, body(8, 8))
    return ranges(body, tree, datagram)
end

function bodies.STATUS(body, tree, datagram)
    if body:len() ~= 72 or datagram.count ~= 0 then return nil end
    add_receiver(body, tree, datagram)
    tree:add_le(f.token, body(8, 8))
    tree:add_le(f.time, body(16, 8))
    tree:add_le(f.window, body(24, 4))
    tree:add_le(f.rtt, body(28, 4))
    tree:add_le(f.delivered, body(32, 8))
    tree:add_le(f.lost, body(40, 8))
    tree:add_le(f.naks, body(48, 8))
    tree:add_le(f.kernel_drops, body(56, 8))
    tree:add_le(f.lag, body(64, 4))
    local flags = tree:add_le(f.status_flags, body(68, 2))
    flags:add_le(f.leaving, body(68, 2))
    flags:add_le(f.observer, body(68, 2))
    flags:add_le(f.fetching, body(68, 2))
    datagram.drops = number(body(56, 8))
    local bits = body(68, 2):le_uint()
    if bits > 7 or body(70, 2):le_uint() ~= 0 then return nil end
    return string.format("next %.0f, delivered %s, lost %s%s%s%s", datagram.base, tostring(body(32, 8):le_uint64()),
        tostring(body(40, 8):le_uint64()), bits % 2 == 1 and ", LEAVING" or "",
        bits % 4 >= 2 and ", OBSERVER" or "", bits >= 4 and ", FETCHING" or "")
end

function bodies.WELCOME(body, tree, datagram)
    if body:len() ~= 24 or datagram.count ~= 0 then return nil end
    add_receiver(body, tree, datagram)
    tree:add_le(f.token, body(8, 8))
    tree:add_le(f.echo, body(16, 8))
    return "to receiver " .. body(0, 8):le_uint64():tohex()
end

function bodies.GONE(body, tree, datagram)
    local texts = {}
    if datagram.count == 0 or datagram.count > 50 or body:len() ~= datagram.count * GONE_BYTES then return nil end
    for index = 0, datagram.count - 1 do
        local entry = body(index * GONE_BYTES, GONE_BYTES)
        local from, to, reason = number(entry(0, 8)), number(entry(8, 8)), GONE_REASONS[entry(16, 1):uint()]
        local branch = tree:add(f.gone, entry)
        branch:add_le(f.gone_from, entry(0, 8))
        branch:add_le(f.gone_to, entry(8, 8))
        branch:add(f.gone_reason, entry(16, 1))
        if to <= from or not reason or not all_zero(body, index * GONE_BYTES + 17, 7) then return nil end
        datagram.ranges[#datagram.ranges + 1] = { from = from, to = to }
        texts[#texts + 1] = offsets(from, to - from) .. " " .. reason
        branch:set_text("Gone: " .. texts[#texts])
    end
    return table.concat(texts, ", ", 1, math.min(#texts, 4)) .. (#texts > 4 and ", …" or "")
end

function bodies.SHED(body, tree, datagram)
    if body:len() < 16 then return nil end
    add_receiver(body, tree, datagram)
    tree:add_le(f.retry_after, body(8, 4))
    local text = body(12, 4):le_uint() == 0 and ranges(body, tree, datagram)
    return text and string.format("after %d µs: %s", body(8, 4):le_uint(), text) or nil
end

function bodies.HELLO(body, tree, datagram)
    if body:len() < 24 then return nil end
    add_receiver(body, tree, datagram)
    tree:add_le(f.hello_to, body(8, 8))
    tree:add(f.hello_start, body(16, 1))
    tree:add(f.hello_observer, body(17, 1))
    tree:add(f.hello_rows, body(17, 1))
    tree:add_le(f.hello_credentials, body(18, 2))
    local at, topics = 24, 0
    while at < body:len() do
        local length = body(at, 1):uint()
        if at + 1 + length > body:len() then return nil end
        tree:add(f.hello_topic, body(at, 1 + length), body:raw(at + 1, length))
        at, topics = at + 1 + length, topics + 1
    end
    local start = STARTS[body(16, 1):uint()]
    local is_sound = start and body(17, 1):uint() < 4 and all_zero(body, 18, 6)
    if not is_sound or topics ~= datagram.count or topics > 1024 then return nil end
    if body(17, 1):uint() >= 2 then return "rows of receivers" end
    return string.format("%s%s, %d topics", start, start == "AT" and string.format(" %.0f", datagram.base) or "", topics)
end

function bodies.CLOSE(body, tree, datagram)
    if body:len() ~= 8 or datagram.count ~= 0 then return nil end
    tree:add_le(f.close_reason, body(0, 2))
    tree:add(f.reserved, body(2, 6))
    local reason = CLOSE_REASONS[body(0, 2):le_uint()]
    return all_zero(body, 2, 6) and reason or nil
end

function bodies.ROWS(body, tree, datagram)
    local size = 88
    if datagram.count > 15 or body:len() ~= 8 + datagram.count * size then return nil end
    tree:add_le(f.rows_left, body(0, 4))
    if body(4, 4):le_uint() ~= 0 then return nil end
    for index = 0, datagram.count - 1 do
        local row = body(8 + index * size, size)
        local branch = tree:add(f.row, row)
        branch:add_le(f.receiver, row(0, 8))
        branch:add_le(f.row_next, row(8, 8))
        branch:add_le(f.delivered, row(16, 8))
        branch:add_le(f.lost, row(24, 8))
        branch:add_le(f.naks, row(32, 8))
        branch:add_le(f.kernel_drops, row(40, 8))
        branch:add_le(f.lag, row(48, 4))
        branch:add_le(f.rtt, row(52, 4))
        branch:add_le(f.row_heard, row(56, 4))
        branch:add_le(f.window, row(60, 4))
        branch:add(f.row_address, row(64, 16))
        branch:add_le(f.row_port, row(80, 2))
        branch:add_le(f.row_flags, row(82, 2))
        if row(82, 2):le_uint() > 15 or row(84, 4):le_uint() ~= 0 then return nil end
        branch:set_text("Receiver " .. row(0, 8):le_uint64():tohex())
    end
    return string.format("%d receivers, %d more", datagram.count, body(0, 4):le_uint())
end

-- Datagrams -------------------------------------------------------------------------------------------------------

local function add_header(tvb, tree)
    tree:add(f.version, tvb(2, 1))
    tree:add(f.kind, tvb(2, 1))
    local flags = tree:add(f.flags, tvb(3, 1))
    flags:add(f.repair, tvb(3, 1))
    flags:add(f.opening, tvb(3, 1))
    flags:add(f.timestamp, tvb(3, 1))
    tree:add_le(f.checksum, tvb(4, 4))
    tree:add_le(f.stream, tvb(8, 4))
    tree:add_le(f.count, tvb(12, 2))
    tree:add_le(f.length, tvb(14, 2))
    tree:add_le(f.session, tvb(16, 8))
    tree:add_le(f.base, tvb(24, 8))
end

-- Whether the bytes are undamaged, as far as is known.
local function check(tvb, tree)
    local state = 2
    if nakcast.prefs.checksum then
        state = checksum_of(tvb:raw(0, tvb:len())) == tvb(4, 4):le_uint() and 1 or 0
    end
    tree:add(f.checksum_status, tvb(4, 4), state):set_generated()
    if state == 0 then tree:add_proto_expert_info(e.checksum) end
    return state ~= 0
end

-- The bytes behind the header and the time of sending; nothing when there are none.
local function split_timestamp(tvb, tree, flags)
    local start = flags % 8 >= FLAG_TIMESTAMP and HEADER_BYTES + 8 or HEADER_BYTES
    -- No kind has an empty body.
    if tvb:len() <= start then return nil end
    if start == HEADER_BYTES then return tvb(start):tvb() end
    local nanos = tvb(HEADER_BYTES, 8):le_uint64()
    local billion = UInt64(1000000000)
    local time = NSTime((nanos / billion):tonumber(), (nanos % billion):tonumber())
    tree:add(f.sent, tvb(HEADER_BYTES, 8), time)
    return tvb(start):tvb()
end

-- One datagram, exactly as long as it says; `at` tells it from others of the same packet.
local function dissect(tvb, pinfo, tree, at)
    local flags = tvb(3, 1):uint()
    local name = KINDS[tvb(2, 1):uint() % 16]
    local datagram = {
        name = name or "?", session = tvb(16, 8):le_uint64():tohex(), first = tvb(24, 8):le_uint64(),
        base = number(tvb(24, 8)), count = tvb(12, 2):le_uint(), is_repair = flags % 2 == 1, ranges = {},
    }
    local branch = tree:add(nakcast, tvb())
    add_header(tvb, branch)
    local text
    if check(tvb, branch) then
        local body = split_timestamp(tvb, branch, flags)
        text = name and flags < 8 and body and bodies[name](body, branch, datagram)
        if not text then branch:add_proto_expert_info(e.broken) end
    end
    local summary = datagram.name .. (datagram.is_repair and " again" or "") .. " " .. (text or "(broken)")
    branch:append_text(": " .. summary .. ", session " .. datagram.session)
    pinfo.cols.info:append((at > 0 and "; " or "") .. summary)
    if text and nakcast.prefs.analyse then
        local finding = analyse(datagram, pinfo, at)
        if finding then show_finding(branch, finding, function(words) pinfo.cols.info:append(" " .. words) end) end
    end
end

local function begins(tvb, at)
    if tvb:len() - at < 3 or tvb(at, 2):le_uint() ~= MAGIC then return false end
    local version_kind = tvb(at + 2, 1):uint()
    return math.floor(version_kind / 16) == VERSION and KINDS[version_kind % 16] ~= nil
end

local function claim(pinfo)
    pinfo.cols.protocol = "nakcast"
    pinfo.cols.info = ""
end

-- Datagrams in one UDP packet: one on the wire, several where a capture was taken before the network card cut them
-- apart, or after the kernel joined them (GSO, GRO).
local function dissect_udp(tvb, pinfo, tree)
    claim(pinfo)
    local at = 0
    while tvb:len() - at >= HEADER_BYTES and begins(tvb, at) do
        local size = HEADER_BYTES + tvb(at + 14, 2):le_uint()
        if size > tvb:len() - at then break end
        dissect(tvb(at, size):tvb(), pinfo, tree, at)
        at = at + size
        local padding = #tvb:raw(at):match("^%z*")
        if padding > 0 then tree:add(nakcast, tvb(at, padding), "nakcast padding"):add(f.padding, tvb(at, padding)) end
        at = at + padding
    end
    if at < tvb:len() then
        local rest = tree:add(nakcast, tvb(at), at > 0 and "behind the datagram" or "nakcast, cut off or broken")
        rest:add_proto_expert_info(at > 0 and e.trailing or e.broken)
        pinfo.cols.info:append(at > 0 and " (and more)" or " (broken)")
    end
    return tvb:len()
end

-- Where the next datagram seems to begin, or the end.
local function next_start(tvb, at)
    while at < tvb:len() and not begins(tvb, at) and tvb:len() - at >= 3 do
        at = at + 1
    end
    return at
end

-- A stretch of a connection: datagrams back to back, of which the last may go on in the next segment.
local function dissect_tcp(tvb, pinfo, tree)
    claim(pinfo)
    local at, wanted = 0, nil
    while at < tvb:len() and not wanted do
        local left = tvb:len() - at
        if left >= 3 and not begins(tvb, at) then
            local start = next_start(tvb, at)
            local skipped = tree:add(nakcast, tvb(at, start - at), "nakcast, from the middle of a datagram")
            skipped:add_proto_expert_info(e.skipped)
            at = start
        elseif left < HEADER_BYTES then
            wanted = DESEGMENT_ONE_MORE_SEGMENT
        else
            local size = HEADER_BYTES + tvb(at + 14, 2):le_uint()
            if size > left then
                wanted = size - left
            else
                dissect(tvb(at, size):tvb(), pinfo, tree, at)
                at = at + size
            end
        end
    end
    if wanted then
        pinfo.desegment_offset, pinfo.desegment_len = at, wanted
    end
    return tvb:len()
end

function nakcast.dissector(tvb, pinfo, tree)
    local is_connection = pinfo.port_type == 2
    return is_connection and dissect_tcp(tvb, pinfo, tree) or dissect_udp(tvb, pinfo, tree)
end

nakcast:register_heuristic("udp", function(tvb, pinfo, tree)
    if tvb:len() < HEADER_BYTES or not begins(tvb, 0) then return false end
    dissect_udp(tvb, pinfo, tree)
    return true
end)

nakcast:register_heuristic("tcp", function(tvb, pinfo, tree)
    if not begins(tvb, 0) then return false end
    -- Later segments need not begin with a datagram.
    pinfo.conversation = nakcast
    dissect_tcp(tvb, pinfo, tree)
    return true
end)

-- Ports from the preferences; and "Decode As…" for one session.
local registered = { udp = "", tcp = "" }

local function register(transport, ports)
    local ports_table = DissectorTable.get(transport .. ".port")
    if registered[transport] ~= "" then ports_table:remove(registered[transport], nakcast) end
    if ports ~= "" then ports_table:add(ports, nakcast) end
    registered[transport] = ports
end

function nakcast.prefs_changed()
    register("udp", nakcast.prefs.udp_ports)
    register("tcp", nakcast.prefs.tcp_ports)
end

DissectorTable.get("udp.port"):add_for_decode_as(nakcast)
DissectorTable.get("tcp.port"):add_for_decode_as(nakcast)
