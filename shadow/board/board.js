"use strict";
// Whatever stands in the log stays text: only text nodes are built, never markup.
const EVERY_MS = 3000, PATIENCE_MS = 15000, LATE_S = 30, OLD_BARS = 2;
const SVG = "http://www.w3.org/2000/svg";
const byId = (id) => document.getElementById(id);
const isNumber = (value) => typeof value === "number";
const number = (value, digits = 3) => isNumber(value) ? value.toFixed(digits) : "–";
const minute = (utc) => typeof utc === "string" ? utc.slice(0, 10) + " " + utc.slice(11, 16) : "–";
const short = (utc) => typeof utc === "string" ? utc.slice(5, 10) + " " + utc.slice(11, 16) : "–";
const shown = {};

function node(name, content, classes) {
  const made = document.createElement(name);
  const parts = Array.isArray(content) ? content : content === undefined || content === null ? [] : [content];
  made.append(...parts.map((part) => part instanceof Node ? part : String(part)));
  if (classes) made.className = classes;
  return made;
}

function drawn(name, attributes) {
  const made = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  return made;
}

// A part that has not changed is left alone: a selection and a place scrolled to stay.
function part(id, facts, build) {
  const text = JSON.stringify(facts);
  if (shown[id] === text) return;
  shown[id] = text;
  const place = byId(id), top = place.scrollTop, left = place.scrollLeft;
  place.replaceChildren(...[build()].flat().filter(Boolean));
  place.scrollTop = top;
  place.scrollLeft = left;
}

function table(headings, rows, empty) {
  if (!rows.length) return node("p", empty, "muted");
  const look = (at) => headings[at][1] || "";
  const head = node("tr", headings.map(([text, classes]) => node("th", text, classes)));
  const body = rows.map((cells) => node("tr", cells.map((cell, at) =>
    Array.isArray(cell) ? node("td", cell[0], look(at) + " " + cell[1]) : node("td", cell, look(at)))));
  return node("table", [node("thead", head), node("tbody", body)]);
}

function tile(name, value, note, look) {
  return node("div", [node("div", name, "name"), node("div", value, "value"), node("div", note, "note")], "tile " + (look || ""));
}

function pill(verdict) {
  const [mark, look] = { pass: ["✓", "good"], fail: ["✗", "bad"] }[verdict] || ["?", "unsure"];
  const made = node("span", mark, "pill " + look);
  made.title = verdict;
  return made;
}

function spark(trail, reach) {
  const made = drawn("svg", { viewBox: "0 0 144 26", class: "spark", "aria-hidden": "true" });
  const x = (at) => (trail.length > 1 ? 2 + 138 * at / (trail.length - 1) : 140).toFixed(1);
  const y = (p) => (13 - 11 * (p - 0.5) / reach).toFixed(1);
  let path = "";
  trail.forEach((p, at) => { if (isNumber(p)) path += (isNumber(trail[at - 1]) ? "L" : "M") + x(at) + " " + y(p); });
  made.append(drawn("path", { d: "M0 13H144", class: "mark" }));
  if (path) made.append(drawn("path", { d: path, class: "line s1" }));
  const last = trail[trail.length - 1];
  if (isNumber(last)) made.append(drawn("circle", { cx: x(trail.length - 1), cy: y(last), r: 3, class: "dot" }));
  return made;
}

function verdictOf(state) {
  const log = state.log, count = (verdict) => log.checklist.filter((one) => one.verdict === verdict).length;
  const [failed, open] = [count("fail"), count("not enough evidence")];
  const note = !log.checklist.length ? "nothing to judge" : failed || open
    ? [failed && failed + (failed === 1 ? " check fails" : " checks fail"), open && open + " can not be told yet"].filter(Boolean).join(", ")
    : "all " + log.checklist.length + " checks pass";
  const [value, look] = log.ready === true ? ["ready", "good"] : log.ready === false ? ["not ready", "bad"] : ["not enough evidence", "unsure"];
  return { value, look, note };
}

function showGlance(state) {
  const { process, log } = state, told = log.decisions[0];
  const mode = told ? told.mode : "no record", verdict = verdictOf(state);
  const heroes = [
    ["process", process.alive ? "alive" : "not running", process.alive ? "since " + minute(process.started) : process.trouble, process.alive ? "good" : "bad"],
    ["mode", mode, !told ? "" : mode === "live" ? "decisions steer the bot" : "nothing is traded on it", mode === "live" ? "live" : ""],
    ["may it go live?", verdict.value, verdict.note + ", " + state.days + (state.days === 1 ? " day" : " days"), verdict.look]];
  part("heroes", heroes, () => heroes.map((one) => tile(...one)));
  const looks = process.alive && !oldest(log) ? verdict.look : "bad";
  document.title = (process.alive ? mode + ", " + verdict.value : "not running") + " · shadowgate";
  const colour = { good: "%2311713f", bad: "%23b3261e", unsure: "%238a5a00" }[looks];
  byId("icon").href = "data:image/svg+xml,<svg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 16 16'><circle cx='8' cy='8' r='7' fill='" + colour + "'/></svg>";
}

const oldest = (log) => log.newest.find((one) => one.age_bars > OLD_BARS && one.age_bars === Math.max(...log.newest.map((each) => each.age_bars)));

function showFigures(state) {
  const log = state.log, ages = log.newest.map((one) => one.age_bars);
  const took = log.decisions.map((one) => one.latency_us).sort((a, b) => a - b);
  const damaged = Object.entries(log.damage), late = oldest(log), primary = log.outcomes["5"];
  const facts = [
    ["newest bar", ages.length ? number(Math.min(...ages), 1) : "–", ages.length ? "bars ago" + (log.is_replay ? ", by the replay's clock" : "") : "no bar in the window", ""],
    ["slowest symbol", ages.length ? number(Math.max(...ages), 1) : "–", late ? late.symbol + " is late" : "bars ago", late ? "bad" : ""],
    ["answered in", took.length ? number(took[took.length >> 1] / 1000, 2) + " ms" : "–", took.length ? "median of " + took.length + ", at most " + number(took[took.length - 1] / 1000, 2) : "", ""],
    ["AUC, 5 ahead", primary && !primary.reason ? number(primary.auc) : "–", primary && !primary.reason ? number(primary.auc_low) + " to " + number(primary.auc_high) + " (95 %)" : "too little to tell", ""],
    ["damage", damaged.reduce((sum, one) => sum + one[1], 0), damaged.map(([name, n]) => n + " " + name.replaceAll("_", " ")).join(", ") || "the log is whole", damaged.length ? "bad" : ""]];
  part("tiles", facts, () => facts.map(([name, value, note, look]) => {
    const made = tile(name, value, note);
    if (look) made.querySelector(".value").classList.add(look);
    return made;
  }));
}

function showAlerts(state) {
  const refused = Object.entries(state.process.refusals).map(([role, why]) => "The " + role + " is refused: " + why);
  const alerts = [...refused, ...state.troubles];
  byId("alerts").hidden = !alerts.length;
  part("alerts", alerts, () => node("ul", alerts.map((text) => node("li", text))));
}

function showSymbols(state) {
  const rows = state.log.newest;
  const reach = Math.max(0.05, ...rows.flatMap((one) => one.trail.filter(isNumber).map((p) => Math.abs(p - 0.5))));
  part("newest", rows, () => table(
    [["symbol"], ["closed"], ["bars ago", "number"], ["p", "number"], ["last bars"], ["action"], ["mode"], ["stacking"]],
    rows.map((one) => [one.symbol + " " + one.timeframe, short(one.closed), [number(one.age_bars, 1), one.age_bars > OLD_BARS ? "old" : ""], number(one.p),
      spark(one.trail, reach), [one.action || "–", one.action || ""], one.mode || "–", one.reason || "–"]),
    "No bar in this window yet."));
}

function showEvidence(state) {
  const log = state.log, rank = { fail: 0, "not enough evidence": 1, pass: 2 };
  const checks = [...log.checklist].sort((a, b) => rank[a.verdict] - rank[b.verdict]);
  part("checklist", [checks, state.changed_limits], () => [
    checks.length ? node("ul", checks.map((one) => {
      const [, what, wanted, was] = /^(.*?): expected (.*?), was (.*)$/.exec(one.says) || [null, one.says, "", ""];
      return node("li", [pill(one.verdict), node("span", what, "what"), node("span", was, "was"), node("span", wanted, "wanted")]);
    }), "checks") : node("p", "Nothing to judge yet.", "muted"),
    ...Object.entries(state.changed_limits).map(([name, said]) => node("p", "Limit changed: " + name + " " + said, "muted"))]);
  part("outcomes", log.outcomes, () => table(
    [["ahead"], ["n (worth)", "number"], ["AUC, 95 %", "number"], ["reversal", "number"], ["Brier", "number"]],
    Object.entries(log.outcomes).map(([horizon, one]) => [horizon, one.n + " (" + number(one.n_effective, 0) + ")",
      one.reason ? "too little to tell" : number(one.auc) + " [" + number(one.auc_low) + ", " + number(one.auc_high) + "]",
      number(one.reversal_rule_auc), number(one.brier, 4)]), "No probability in this window."));
  part("luck", log.luck, () => log.luck && [node("h3", "Could it be luck?"), node("p", log.luck.says),
    node("p", "Reversal: the naive rule that a move turns back. A constant 0.5: Brier 0.25.", "muted")]);
}

function showDecisions(state) {
  const rows = state.log.decisions;
  const horizons = [...new Set(rows.flatMap((one) => Object.keys(one.p)))].sort((a, b) => a - b);
  part("decisions", rows, () => table(
    [["closed"], ["symbol"], ["action"], ...horizons.map((one) => ["p " + one, "number"]), ["regime"], ["size", "number"], ["stop", "number"], ["mode"], ["reason"], ["bot"]],
    rows.map((one) => [short(one.closed), one.symbol, [one.action, one.action], ...horizons.map((horizon) => number(one.p[horizon])),
      one.regime, "× " + number(one.size_multiplier, 1), number(one.stop_atr, 1) + " ATR", one.mode, one.reason, one.host_signal || ""]),
    "No decision yet."));
}

function meter(name, value, level, look) {
  const share = isNumber(value) && value > 1 ? Math.min(1, Math.log(value) / Math.log(level)) : 0;
  const picture = drawn("svg", { viewBox: "0 0 100 4", preserveAspectRatio: "none", "aria-hidden": "true" });
  picture.append(drawn("rect", { width: 100, height: 4, class: "all" }), drawn("rect", { width: 100 * share, height: 4, class: "done " + look }));
  return node("div", [node("div", [node("span", name), node("span", number(value, 2) + " of " + level)], "says"), picture], "meter");
}

function nowOf(role, process, appointed) {
  if (!process.alive) return ["not running", "none"];
  if (process.refusals[role]) return ["refused", "bad"];
  if (process[role] === appointed[role]) return [process[role] ? "in service" : "", "good"];
  return [process[role] ? "another serves: " + process[role] : "not in service", "bad"];
}

function showPair(state) {
  const { process, appointed, comparison: pair } = state;
  const rows = ["champion", "challenger"].map((role) => [role, node("span", appointed[role] || "nobody", "bundle"),
    nowOf(role, process, appointed)]);
  part("roles", [process, appointed], () => table([["role"], ["appointed"], ["now"]], rows, ""));
  part("pair", pair, () => {
    if (!pair) return node("p", "No challenger was asked in this window.", "muted");
    const told = pair.evidence;
    const wait = told.reason || (told.bars_needed === 0 ? "Decided." : isNumber(told.bars_needed) ? "At this rate " + told.bars_needed + " more bars decide." : "How many more bars it takes can not be told yet.");
    return [node("p", [node("span", pair.challenger, "bundle"), " against ", node("span", pair.champion, "bundle"), " on " + pair.n_bars + " common bars: Brier " +
      number(pair.challenger_brier, 4) + " against " + number(pair.champion_brier, 4) + "."]),
    meter("evidence that it is not worse", told.not_inferior, pair.level, "good"), meter("evidence that it is worse", told.worse, pair.level, "bad"), node("p", wait, "muted")];
  });
  part("moves", state.moves, () => state.moves.length ? node("ul", state.moves.map((one) => node("li", [
    node("div", [node("b", one.role + " " + one.kind), " ", node("span", one.bundle_id || one.replaced, "bundle")]),
    node("div", minute(one.at) + ", " + one.who + (one.why ? ": " + one.why : ""), "muted")])), "moves") : node("p", "No bundle was ever appointed.", "muted"));
}

function show(state, ageS) {
  byId("simulated").hidden = !state.log.simulated;
  byId("asof").textContent = "as of " + minute(state.now) + state.now.slice(16, 19) + " UTC" + (ageS > LATE_S ? ", the log has been being read since" : "");
  byId("footer").textContent = state.folder + (state.symbols.length ? ", only " + state.symbols.join(", ") : "") + (state.log.is_replay ? ", a replay" : "");
  for (const showPart of [showGlance, showFigures, showAlerts, showSymbols, showEvidence, showDecisions, showPair]) showPart(state);
}

function connected(text, look) {
  const pill = byId("connection");
  if (pill.textContent !== text) pill.textContent = text;
  pill.className = "pill " + look;
  const alone = text === "not connected";
  document.body.classList.toggle("alone", alone);
  byId("alone").hidden = !alone;
  if (alone) {
    const seen = byId("asof").textContent;
    byId("alone").textContent = "Not connected to python -m shadow.dashboard" + (seen ? ": what stands below is " + seen : "") + ". Trying again by itself.";
    document.title = "not connected · shadowgate";
  }
}

async function look() {
  try {
    const answer = await fetch("/api/state.json", { cache: "no-store", signal: AbortSignal.timeout(PATIENCE_MS) });
    if (answer.status === 503) connected("reading the log", "unsure");
    else if (!answer.ok) throw new Error(answer.statusText);
    else {
      const ageS = Number(answer.headers.get("Age"));
      show(await answer.json(), ageS);
      connected(ageS > LATE_S ? "late" : "connected", ageS > LATE_S ? "unsure" : "good");
    }
  } catch {
    connected("not connected", "bad");
  }
  setTimeout(look, EVERY_MS);
}

look();
