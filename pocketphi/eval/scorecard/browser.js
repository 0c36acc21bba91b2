// Looks through the items that the page carries. They are text of strangers: `textContent` only, never markup.
(() => {
  "use strict";
  const PAGE = 40;
  const STATES = ["wrong", "right", "no score"];
  const MARKS = ["✗", "✓", "–"];
  const at = (id) => document.getElementById(id);
  const data = JSON.parse(at("items-data").textContent);
  // The order of the fields is that of `browser.py`.
  const items = data.items.map((row) => {
    const [task, id, part, state, question, choices, odds, right, said, expected, answer, written] = row;
    return { task, id, part, state, question, choices, odds, right, said, expected, answer, written, hay: null };
  });
  // Wrong answers of all tasks before right ones; the sort is stable.
  items.sort((a, b) => a.state - b.state);

  const find = at("find"), task = at("find-task"), part = at("find-part"), verdict = at("find-verdict");
  const found = at("found"), more = at("more"), count = at("found-count");
  let matching = [];
  let shown = 0;

  const make = (name, className, text) => {
    const element = document.createElement(name);
    if (className) element.className = className;
    if (text !== undefined) element.textContent = text;
    return element;
  };

  const drawn = (name, attributes) => {
    const element = document.createElementNS("http://www.w3.org/2000/svg", name);
    Object.entries(attributes).forEach(([key, value]) => element.setAttribute(key, value));
    return element;
  };

  const option = (value, text) => {
    const element = make("option", "", text);
    element.value = value;
    return element;
  };

  const hay = (item) => {
    item.hay ??= [item.id, item.part, item.question, ...item.choices, item.expected, item.answer, item.written]
      .join("\n").toLowerCase();
    return item.hay;
  };

  const percent = (value) => `${(100 * value).toFixed(value < 0.0995 ? 1 : 0)}\u00a0%`;
  const letter = (index) => String.fromCharCode(65 + index);

  // What tells one question from the next: without the word that all begin with, and the options, which stand below.
  const headline = (item) => {
    const asked = item.choices.length ? item.question.replace(/\n(?:\w+:\s*\n)?\(?A[.):] [^]*$/, "") : item.question;
    const text = asked.replace(/^(question|q)\s*:\s*/i, "").replace(/\s+/g, " ").trim();
    return text.length > 180 ? text.slice(0, 179) + "…" : text || "(empty)";
  };

  const block = (label, text, className) => {
    const box = make("div", "part");
    box.append(make("h4", "", label), make("div", `page ${className || ""}`, text));
    box.lastChild.tabIndex = 0;
    return box;
  };

  const bars = (item) => {
    const list = make("ol", "choices");
    item.choices.forEach((text, index) => {
      const row = make("li", index === item.right ? "is-right" : index === item.said ? "is-said" : "");
      const signs = [];
      if (index === item.right) signs.push("expected");
      if (index === item.said) signs.push("chosen");
      row.append(make("span", "letter", letter(index)), make("span", "text", text));
      if (signs.length) row.append(make("span", "sign", signs.join(", ")));
      if (index < item.odds.length) {
        const bar = drawn("svg", { viewBox: "0 0 100 8", preserveAspectRatio: "none", "aria-hidden": "true" });
        bar.append(drawn("rect", { width: 100, height: 8, class: "track" }));
        bar.append(drawn("rect", { width: 100 * Math.min(item.odds[index], 1), height: 8, class: "f1" }));
        row.append(bar, make("span", "odds", percent(item.odds[index])));
      }
      list.append(row);
    });
    return list;
  };

  const body = (item) => {
    const box = make("div", "answer");
    box.append(block("Question", item.question));
    if (item.choices.length) box.append(make("h4", "", "Choices"), bars(item));
    if (item.right < 0 || item.said < 0) {
      const pair = make("div", "pair");
      pair.append(block("Expected", item.expected || "(nothing)"));
      pair.append(block("Understood as", item.answer || "(nothing was understood)", item.state === 0 ? "bad" : "good"));
      box.append(pair);
    }
    if (item.written) box.append(block("What the model wrote", item.written));
    box.append(make("p", "from", [data.tasks[item.task][1], item.part, item.id].filter(Boolean).join(" · ")));
    return box;
  };

  const row = (item) => {
    const fold = make("details", `item ${STATES[item.state].replace(" ", "-")}`);
    const head = make("summary", "");
    const mark = make("span", "mark", MARKS[item.state]);
    mark.setAttribute("aria-hidden", "true");
    const text = make("span", "headline", headline(item));
    const meta = make("span", "meta");
    const where = [data.tasks[item.task][1], item.part.replaceAll("_", " ")].filter(Boolean).join(" · ");
    const short = (value) => (value.length > 40 ? value.slice(0, 39) + "…" : value);
    const told = item.state === 0
      ? `said ${short(item.answer) || "nothing understood"}, expected ${short(item.expected)}`
      : item.state === 1 ? `said ${short(item.answer)}` : "";
    const sure = item.said >= 0 && item.said < item.odds.length ? `${percent(item.odds[item.said])} sure` : "";
    meta.append(make("b", "", STATES[item.state]), [" ", where, told, sure].filter(Boolean).join(" · ").replace("  · ", " · "));
    head.append(mark, text, meta);
    fold.append(head);
    fold.addEventListener("toggle", () => {
      if (fold.open && fold.childElementCount === 1) fold.append(body(item));
    });
    return fold;
  };

  const extend = () => {
    const next = matching.slice(shown, shown + PAGE);
    const first = next.map(row);
    found.append(...first);
    shown += next.length;
    more.hidden = shown >= matching.length;
    more.textContent = `Show more (${(matching.length - shown).toLocaleString("en")} left)`;
    return first[0];
  };

  const search = () => {
    const words = find.value.toLowerCase().split(/\s+/).filter(Boolean);
    matching = items.filter((item) =>
      (task.value === "" || item.task === Number(task.value)) &&
      (part.value === "" || item.part === part.value) &&
      (verdict.value === "" || item.state === Number(verdict.value)) &&
      words.every((word) => hay(item).includes(word)));
    found.replaceChildren();
    shown = 0;
    extend();
    const wrong = matching.filter((item) => item.state === 0).length;
    const number = (value) => value.toLocaleString("en");
    count.textContent = matching.length
      ? `${number(matching.length)} answers, ${number(wrong)} wrong`
      : "Nothing matches: try fewer words, or all tasks.";
  };

  const parts = () => {
    const of = items.filter((item) => task.value === "" || item.task === Number(task.value));
    const names = [...new Set(of.map((item) => item.part))].filter(Boolean).sort();
    part.replaceChildren(option("", "all"), ...names.map((name) => option(name, name.replaceAll("_", " "))));
    part.disabled = names.length < 2;
  };

  data.tasks.forEach(([, title], index) => task.append(option(String(index), title)));
  let waiting;
  find.addEventListener("input", () => {
    clearTimeout(waiting);
    waiting = setTimeout(search, 120);
  });
  task.addEventListener("change", () => { parts(); search(); });
  part.addEventListener("change", search);
  verdict.addEventListener("change", search);
  more.addEventListener("click", () => extend()?.querySelector("summary").focus());
  // Up and down walk through the answers.
  found.addEventListener("keydown", (event) => {
    if (event.target.tagName !== "SUMMARY" || !["ArrowDown", "ArrowUp"].includes(event.key)) return;
    const item = event.target.parentElement;
    const next = event.key === "ArrowDown" ? item.nextElementSibling : item.previousElementSibling;
    if (!next) return;
    event.preventDefault();
    next.querySelector("summary").focus();
  });
  // A benchmark's name in the table leads to its answers.
  document.querySelectorAll("a[data-task]").forEach((link) => {
    link.addEventListener("click", () => {
      const index = data.tasks.findIndex(([name]) => name === link.dataset.task);
      if (index < 0) return;
      task.value = String(index);
      find.value = "";
      verdict.value = "";
      parts();
      search();
    });
  });
  parts();
  search();
  at("items-off").hidden = true;
  at("browser").hidden = false;
})();
