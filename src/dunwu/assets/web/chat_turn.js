// One question with its answer. Whatever a model wrote becomes text nodes, and never HTML.
import { post } from "./chat_server.js";

const LONGEST_COLOURED = 100_000; // characters; the server reads no more
// As analysis/labels.py: characters that steer a terminal or reverse a line are made visible.
const UNSAFE = /[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069\ud800-\udfff]/gu;

const TEMPLATE = document.getElementById("turn").content;
const LABELS = Object.fromEntries(
  [...TEMPLATE.querySelectorAll("[data-kind]")].map((entry) => [entry.dataset.kind, entry.firstElementChild.textContent]),
);

export const clean = (text) => text.replace(UNSAFE, "\ufffd");

const counted = (count, word) => `${count.toLocaleString("en")} ${word}${count === 1 ? "" : "s"}`;

const seconds = (milliseconds) => `${(milliseconds / 1000).toFixed(1)} s`;

export class Turn {
  // The record is all that is kept of a turn: what was asked (question, messages, settings) and what the reply said.
  constructor(record, askAgain) {
    this.record = record;
    this.element = TEMPLATE.firstElementChild.cloneNode(true);
    this.began = performance.now();
    this.readerFolds = false;
    this.part(".question").textContent = clean(record.question);
    this.part(".again").addEventListener("click", () => askAgain(record));
    this.part(".chain > summary").addEventListener("click", () => (this.readerFolds = true));
    if (record.reasoning) this.showThought(record.reasoning);
    if (record.content) this.showAnswer(record.content);
  }

  part(selector) {
    return this.element.querySelector(selector);
  }

  get isEmpty() {
    return !this.record.reasoning && !this.record.content && !this.record.vote;
  }

  // Takes one event of a reply that is being written.
  take(event) {
    const { record } = this;
    for (const field of ["seed", "vote", "guidance", "cache", "review", "usage"]) record[field] = event[field] ?? record[field];
    if (event.vote) this.showVote(false);
    const choice = event.choices[0];
    if (!choice) return;
    const { reasoning = "", content = "" } = choice.delta;
    record.finish = choice.finish_reason ?? record.finish;
    if (reasoning) {
      record.reasoning += reasoning;
      this.showThought(reasoning);
    }
    if (content) {
      if (!record.content) this.endThought();
      record.content += content;
      this.showAnswer(content);
    }
  }

  showThought(text) {
    const chain = this.part(".chain");
    if (chain.hidden) chain.open = !this.record.content;
    chain.hidden = false;
    this.part(".waiting").hidden = true;
    this.part(".thought").append(clean(text));
    if (!this.record.content) this.part(".chain > summary").textContent = `Thinking, ${seconds(performance.now() - this.began)}`;
  }

  showAnswer(text) {
    this.part(".waiting").hidden = true;
    this.part(".reply").append(clean(text));
  }

  // The answer begins: the chain folds, unless the reader has taken that in hand.
  endThought() {
    if (!this.record.reasoning) return;
    if (!this.record.vote) this.record.thinking = performance.now() - this.began;
    if (!this.readerFolds) this.part(".chain").open = false;
    this.colour();
  }

  // Shows a turn that gains no more; `how` is what ended it, where that was not the model.
  end(how = this.record.how) {
    const { record } = this;
    record.how = how;
    record.elapsed ??= performance.now() - this.began;
    this.part(".waiting").hidden = true;
    this.part(".chain > summary").textContent = describeThought(record);
    if (record.vote) this.showVote(!how);
    this.colour();
    fill(this.part(".sources"), describeSources(record));
    this.outcome = describeOutcome(record);
    show(this.part(".outcome"), this.outcome);
    this.part(".foot > span").textContent = describeCost(record);
    this.part(".foot").hidden = record.seed === undefined && !isStored(record);
  }

  // The address that a held answer is asked for at; "" where none is held, or a person has decided.
  get heldAt() {
    const { review } = this.record;
    return (!review?.state && review?.poll) || "";
  }

  // Takes what a person has decided of a held answer.
  release({ state, verdict, text }) {
    const { record } = this;
    Object.assign(record.review, { state, verdict });
    record.content = text;
    this.showAnswer(text);
    this.end();
  }

  // Colours the chain by what it does, once: it must be whole.
  colour() {
    return (this.coloured ??= this.paint());
  }

  async paint() {
    const { record } = this;
    if (!record.reasoning) return;
    try {
      if (!record.segments) {
        const text = clean(record.reasoning.slice(0, LONGEST_COLOURED));
        record.segments = (await (await post("/page/highlights", { text })).json()).segments;
      }
    } catch {
      return; // without colours the chain is as true
    }
    const pieces = record.segments.map(({ text, kinds }) => (kinds.length ? this.mark(text, kinds) : text));
    this.part(".thought").replaceChildren(...pieces, clean(record.reasoning.slice(LONGEST_COLOURED)));
    for (const entry of this.element.querySelectorAll("[data-kind]")) {
      const count = countRuns(record.segments, entry.dataset.kind);
      if (count) entry.lastElementChild.textContent = `×${count}`;
      else entry.remove();
    }
    this.part(".key").hidden = !this.part("[data-kind]");
  }

  mark(text, kinds) {
    const mark = document.createElement("mark");
    mark.className = kinds.join(" ");
    mark.textContent = text;
    mark.title = kinds.map((kind) => LABELS[kind]).join(", ");
    return mark;
  }

  showVote(isOver) {
    const { samples, wanted, weighted, groups } = this.record.vote;
    const whole = weighted ? sumUp(groups, "weight") : isOver ? samples : wanted;
    this.part(".waiting").hidden = true;
    this.part(".vote").hidden = false;
    this.part(".count").textContent = isOver ? describeVote(this.record.vote) : `Voting: ${samples} of ${counted(wanted, "answer")}`;
    const [leader, ...others] = groups.map((group) => drawGroup(group, weighted, whole));
    const inFront = isOver ? [leader] : [leader, ...others];
    this.part(".groups").replaceChildren(...inFront.filter(Boolean));
    const folded = this.part(".others");
    folded.hidden = !isOver || !others.length;
    folded.querySelector("summary").textContent = `Other answers (${others.length})`;
    folded.querySelector(".groups").replaceChildren(...(isOver ? others : []));
  }
}

const sumUp = (groups, field) => groups.reduce((sum, group) => sum + group[field], 0);

const share = (part, whole) => Math.round((100 * part) / (whole || 1));

// Draws an answer with the part that it has of all votes, or of all weight.
function drawGroup({ answer, votes, weight }, weighted, whole) {
  const [name, track, bar, count] = ["span", "span", "span", "span"].map((kind) => document.createElement(kind));
  [name.className, track.className, count.className] = ["answer-text", "track", "votes"];
  name.textContent = clean(answer);
  count.textContent = weighted ? `${share(weight, whole)} %, ${counted(votes, "vote")}` : counted(votes, "vote");
  bar.style.width = `${(100 * (weighted ? weight : votes)) / (whole || 1)}%`;
  track.append(bar);
  const line = document.createElement("li");
  line.append(name, track, count);
  return line;
}

function describeVote({ samples, wanted, tied, weighted, groups }) {
  const silent = samples - sumUp(groups, "votes");
  const lines = [];
  if (!groups.length) return `None of ${counted(samples, "sample")} has an answer to vote for.`;
  const { votes, weight } = groups[0];
  if (tied) {
    const names = groups.filter((group) => group.weight === weight).map((group) => clean(group.answer));
    const each = weighted ? "the same weight" : `${votes} of ${samples} each`;
    lines.push(`A tie: ${names.join(" and ")} have ${each}. The one that came first is shown.`);
  } else if (weighted) {
    const part = share(weight, sumUp(groups, "weight"));
    lines.push(`${votes} of ${samples} agree, and have ${part} % of the weight that the guide gave.`);
  } else lines.push(`${votes} of ${samples} agree.`);
  if (silent) lines.push(`${silent} had no answer.`);
  if (samples < wanted) lines.push(`The other ${wanted - samples} could not have changed it, and were not asked.`);
  return lines.join(" ");
}

function describeThought(record) {
  const { vote, thinking, usage } = record;
  if (vote) return "How the answer that won was found";
  if (isStored(record)) return "Thought";
  const tokens = usage?.completion_tokens_details?.reasoning_tokens;
  const parts = ["Thought", thinking && `for ${seconds(thinking)}`, tokens && `· ${counted(tokens, "token")}`];
  return parts.filter(Boolean).join(" ");
}

// Where an answer comes from, a line each. What replies say of that beside their text is put into words here.
function describeSources({ cache, review, guidance }) {
  const lines = guidance ? [describeGuidance(guidance)] : [];
  if (cache && cache.hit !== "none") {
    const age = `${describeAge(cache.age_seconds)} ago`;
    const how = cache.hit === "exact" ? "Answered before" : `With the path of a similar question as a hint, ${age}`;
    lines.push(`${how} (${describeProvenance(cache.provenance)})`);
  }
  const verdict = { accept: "accepted", edit: "edited", reject: "rejected" }[review?.verdict];
  if (verdict) lines.push(`A person has ${verdict} the model's answer`);
  if (review?.topics?.length) lines.push(`Topics of the policy: ${review.topics.join(", ")}`);
  return lines;
}

function describeGuidance({ method, score, share: dropped, choices }) {
  const did = method === "best_of" ? "The guide took the best answer" : `The guide chose ${counted(choices, "time")}`;
  return `${did}: score ${score.toFixed(2)}, ${share(dropped, 1)} % of the tokens dropped`;
}

function describeProvenance({ kind, by, votes, samples }) {
  return kind === "voted" ? `${votes} of ${samples} samples voted for it` : `${kind} by ${by}`;
}

function describeAge(age) {
  const [unit, length] = [["d", 86400], ["h", 3600], ["min", 60]].find((pair) => age >= pair[1]) ?? ["s", 1];
  return `${Math.floor(age / length)} ${unit}`;
}

function describeOutcome({ how, finish, content, review }) {
  if (how) return how;
  if (review?.state === "expired") return "Nobody decided in time, so this answer is not given out.";
  if (review?.poll && !review.state) return "A person looks at this answer first. It appears here when they have decided.";
  if (finish === "content_filter" && !review?.state) return "The policy of this server refused it.";
  if (content) return finish === "length" ? "The answer was cut off here: there is no room for more tokens." : "";
  return finish === "length"
    ? "It was cut off while it was thinking, so there is no answer. A thinking budget makes it answer in time."
    : "It ended without an answer.";
}

const isStored = ({ cache }) => cache?.hit === "exact";

function describeCost(record) {
  const { seed, usage, elapsed, cache } = record;
  if (isStored(record)) return `from the cache, ${describeAge(cache.age_seconds)} old`;
  const tokens = usage && `${counted(usage.completion_tokens, "token")} in ${seconds(elapsed)}`;
  return [`seed ${seed}`, tokens].filter(Boolean).join(" · ");
}

function countRuns(segments, kind) {
  return segments.filter(({ kinds }, at) => kinds.includes(kind) && !segments[at - 1]?.kinds.includes(kind)).length;
}

function show(element, text) {
  element.textContent = text;
  element.hidden = !text;
}

function fill(list, lines) {
  list.hidden = !lines.length;
  list.replaceChildren(
    ...lines.map((line) => {
      const item = document.createElement("li");
      item.textContent = clean(line);
      return item;
    }),
  );
}
