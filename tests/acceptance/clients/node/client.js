// Calls a node with nothing but the .proto files, read at run time: node client.js ADDRESS PROTOS
// Prints one JSON object: what Chat, StreamChat, BatchChat and a refused request gave.
"use strict";

const grpc = require("@grpc/grpc-js");
const loader = require("@grpc/proto-loader");

const [address, protos] = process.argv.slice(2);
const definition = loader.loadSync("edgeclient/v1/chat.proto", {
  includeDirs: [protos],
  keepCase: true,
  enums: String,
  oneofs: true,
});
const { ChatService } = grpc.loadPackageDefinition(definition).edgeclient.v1;
const client = new ChatService(address, grpc.credentials.createInsecure());
const options = () => ({ deadline: Date.now() + 10_000 });

function chat(request) {
  return new Promise((resolve) => {
    client.Chat(request, options(), (error, response) => resolve({ error, response }));
  });
}

function stream(method, request) {
  return new Promise((resolve, reject) => {
    const messages = [];
    const call = client[method](request, options());
    call.on("data", (message) => messages.push(message));
    call.on("error", reject);
    call.on("end", () => resolve(messages));
  });
}

async function main() {
  const answered = await chat({ prompt: "Is 97 degrees hot?" });
  if (answered.error) throw answered.error;
  const pieces = await stream("StreamChat", { messages: [{ role: "ROLE_USER", content: "Is 97 degrees hot?" }] });
  const results = await stream("BatchChat", { requests: [{ prompt: "a" }, { prompt: "b", top_p: 9 }] });
  const refused = await chat({ prompt: "hi", top_p: 9 });
  const trailers = refused.error.metadata.getMap();
  return {
    chat: answered.response,
    pieces,
    results,
    refused: {
      code: refused.error.code,
      sentence: refused.error.details,
      reason: trailers["edge-reason"],
      request_id: trailers["edge-request-id"],
      pushback_ms: trailers["grpc-retry-pushback-ms"],
      details: trailers["grpc-status-details-bin"].toString("base64"),
    },
  };
}

main().then(
  (told) => {
    process.stdout.write(`${JSON.stringify(told)}\n`);
    client.close();
  },
  (error) => {
    process.stderr.write(`${error.stack}\n`);
    process.exitCode = 1;
  },
);
