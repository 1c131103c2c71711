// The conversation: what is asked, what is kept while the tab is open, and the keys. KEYS is page.js's.
import { Lost, Refusal, ask, poll } from "./chat_server.js";
import { Turn, clean } from "./chat_turn.js";

const POLL_MS = 2000;

const find = (id) => document.getElementById(id);
const [question, settings, keyField, key] = ["question", "settings", "key-field", "key"].map(find);
const fields = [...settings.querySelectorAll("[name]")];
const takesTurns = find("main").dataset.takesTurns === "true";
const wantsKey = find("main").dataset.wantsKey === "true";

let turns = [];
let asking = null; // what aborts the answer that is being written

// --- what is kept while the tab is open

function keep(name, value) {
  try {
    sessionStorage.setItem(name, JSON.stringify(value));
  } catch {
    sessionStorage.removeItem(name); // there is no more room: a reload begins anew
  }
}

const recall = (name) => JSON.parse(sessionStorage.getItem(name) ?? "null");

// --- settings

const standard = (field) => field.defaultValue ?? ""; // of a list of choices: off

// The fields of a body. A way to answer is a choice of several at once.
function readSettings() {
  const filled = fields.filter((field) => field.value !== "");
  return Object.assign({}, ...filled.map(({ name, value }) => (name === "way" ? JSON.parse(value) : { [name]: Number(value) })));
}

const describeField = ({ dataset, value, selectedOptions }) =>
  dataset.word ? `${dataset.word} ${value || "as the server has it"}` : selectedOptions[0].text;

function noteSettings() {
  const changed = fields.filter((field) => field.value !== standard(field));
  const words = changed.map(describeField);
  find("changed").textContent = words.length ? `: ${words.join(", ")}` : "";
  keep("settings", Object.fromEntries(changed.map((field) => [field.name, field.value])));
}

function fillSettings(values) {
  for (const field of fields) {
    field.value = values[field.name] ?? standard(field);
    if (field.selectedIndex === -1) field.value = ""; // the server has begun anew, and offers this no more
  }
  noteSettings();
}

// --- asking

// A model that knows earlier turns is asked with those before the last answer, and that answer.
function makeMessages(text) {
  const last = takesTurns && turns.findLast((turn) => turn.record.content)?.record;
  const before = last ? [...last.messages, { role: "assistant", content: last.content }] : [];
  return [...before, { role: "user", content: text }];
}

async function send(text, messages, chosen) {
  if (asking) return;
  const record = { question: text, messages, settings: chosen, reasoning: "", content: "" };
  const turn = addTurn(record);
  setAsking(new AbortController());
  say("", "Thinking");
  scrollToEnd();
  try {
    const body = { messages, ...chosen, stream: true, stream_options: { include_usage: true } };
    for await (const event of ask(body, asking.signal)) following(() => turn.take(event));
    keyField.hidden = true;
    following(() => turn.end());
  } catch (error) {
    if (!turns.includes(turn)) return; // a new conversation has begun
    following(() => turn.end(describeEnd(error)));
    if (turn.isEmpty) takeBack(turn);
    say(describeError(error), "");
  } finally {
    setAsking(null);
  }
  announce(turn);
  keepTurns(); // a reload may come before the colours
  await turn.colour();
  keepTurns();
  await waitForVerdict(turn);
}

function announce(turn) {
  if (turns.includes(turn)) find("live").textContent = turn.outcome || `Answer: ${clean(turn.record.content)}`;
}

const keepTurns = () => keep("turns", turns.map(({ record }) => record));

// Asks for an answer that a person looks at, until they have decided.
async function waitForVerdict(turn) {
  while (turn.heldAt && turns.includes(turn)) {
    const found = await poll(turn.heldAt).catch((error) => say(describeError(error), ""));
    if (!found) return; // a reload asks on
    if (found.state === "held") await new Promise((resolve) => setTimeout(resolve, POLL_MS));
    else {
      following(() => turn.release(found));
      announce(turn);
      keepTurns();
    }
  }
}

function addTurn(record) {
  const turn = new Turn(record, ({ question, messages, settings, seed = settings.seed }) => send(question, messages, { ...settings, seed }));
  turns.push(turn);
  find("turns").append(turn.element);
  find("welcome").hidden = true;
  return turn;
}

// Nothing came: the question goes back to where it was written.
function takeBack(turn) {
  turns = turns.filter((one) => one !== turn);
  turn.element.remove();
  question.value ||= turn.record.question;
  find("welcome").hidden = turns.length > 0;
}

function describeEnd(error) {
  if (error.name === "AbortError") return "Stopped by you.";
  return error instanceof Lost ? "The connection was lost here." : "The server ended it here.";
}

function describeError(error) {
  if (error.name === "AbortError") return "";
  if (error instanceof Lost) return "The connection to the server was lost. If it still runs, send the question again.";
  if (!(error instanceof Refusal)) throw error;
  if (error.status === 401) showKey();
  return error.status === 429 || error.status === 503 ? `${error.message}. Try again in a moment.` : error.message;
}

function showKey() {
  keyField.hidden = false;
  key.focus();
}

function say(error, live) {
  find("alert").textContent = clean(error);
  find("live").textContent = live;
}

function setAsking(controller) {
  const hadFocus = document.activeElement === find("stop");
  asking = controller;
  find("send").hidden = Boolean(asking);
  find("stop").hidden = !asking;
  document.documentElement.classList.toggle("asking", Boolean(asking));
  if (hadFocus) question.focus();
}

// Does what makes the page longer, and stays at its end where the reader is there.
function following(act) {
  const atEnd = innerHeight + scrollY > document.documentElement.scrollHeight - 60;
  act();
  if (atEnd) scrollToEnd();
}

const scrollToEnd = () => scrollTo(0, document.documentElement.scrollHeight);

function submit() {
  const text = question.value.trim();
  const wrong = fields.find((field) => !field.checkValidity());
  if (wrong) {
    settings.open = true;
    wrong.reportValidity();
  } else if (text && !asking) {
    question.value = "";
    send(text, makeMessages(text), readSettings());
  }
}

function beginAnew() {
  asking?.abort();
  turns = [];
  find("turns").replaceChildren();
  find("welcome").hidden = false;
  sessionStorage.removeItem("turns");
  say("", "");
  question.focus();
}

// --- what the reader does

find("composer").addEventListener("submit", (event) => {
  event.preventDefault();
  submit();
});
question.addEventListener("keydown", (event) => {
  if (event.key !== "Enter" || event.shiftKey || event.isComposing) return; // composing: it chooses a character
  event.preventDefault();
  submit();
});
window.addEventListener(
  "keydown",
  (event) => {
    if (event.key !== "Escape" || !asking || document.querySelector("dialog[open]")) return;
    event.preventDefault();
    asking.abort();
  },
  true,
);
find("stop").addEventListener("click", () => asking?.abort());
find("new").addEventListener("click", beginAnew);
find("defaults").addEventListener("click", () => fillSettings({}));
settings.addEventListener("input", noteSettings);
key.addEventListener("input", () => sessionStorage.setItem("key", key.value));
for (const example of document.querySelectorAll(".examples button")) {
  example.addEventListener("click", () => {
    question.value = example.textContent;
    question.focus();
    submit();
  });
}
Object.assign(KEYS, { n: beginAnew, "/": () => question.focus() });

// --- what was there before a reload

fillSettings(recall("settings") ?? {});
key.value = sessionStorage.getItem("key") ?? "";
keyField.hidden = !wantsKey || key.value !== "";
for (const record of recall("turns") ?? []) {
  const turn = addTurn(record);
  turn.end();
  waitForVerdict(turn);
}
if (turns.length) scrollToEnd();
