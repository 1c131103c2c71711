// Asks the server, and reads its replies event by event.

// The server said no, in words.
export class Refusal extends Error {
  constructor(status, message) {
    super(message);
    this.status = status;
  }
}

// There is no server, or it ended in the middle of a reply.
export class Lost extends Error {}

async function request(path, options) {
  const key = sessionStorage.getItem("key");
  const headers = { "content-type": "application/json", ...(key && { authorization: `Bearer ${key}` }) };
  const response = await fetch(path, { ...options, headers }).catch(lose);
  if (!response.ok) throw new Refusal(response.status, await readMessage(response));
  return response;
}

export const post = (path, body, signal) => request(path, { method: "POST", body: JSON.stringify(body), signal });

// What has become of an answer that is held for a person.
export const poll = async (path) => (await request(path, {})).json();

// Yields the events of a reply, up to the one that says that there are no more.
export async function* ask(body, signal) {
  const response = await post("/v1/chat/completions", body, signal);
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  let unread = "";
  for (;;) {
    const { value, done } = await reader.read().catch(lose);
    if (done) throw new Lost();
    const lines = (unread + value).split("\n\n");
    unread = lines.pop();
    for (const line of lines) {
      const data = line.replace(/^data: /, "");
      if (data === "[DONE]") return;
      const event = JSON.parse(data);
      if (event.error) throw new Refusal(500, event.error.message);
      yield event;
    }
  }
}

function lose(error) {
  throw error.name === "AbortError" ? error : new Lost(error.message);
}

async function readMessage(response) {
  const text = await response.text();
  try {
    return JSON.parse(text).error.message;
  } catch {
    return `the server answered ${response.status}: ${text.slice(0, 200)}`; // not one of ours, so not its form
  }
}
