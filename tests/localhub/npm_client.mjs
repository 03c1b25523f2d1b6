// What @huggingface/hub, a client written apart from the Python one, sees of a Hub.
//
// node npm_client.mjs PATH_TO_PACKAGE '{"hubUrl": ..., "accessToken": ..., "cacheDir": ...}'
// Its last line is JSON (the client prints too); test_npm_client.py says what must be in it.

import { readFile } from "node:fs/promises";
import { pathToFileURL } from "node:url";

const [packagePath, settings] = process.argv.slice(2);
const hub = await import(pathToFileURL(packagePath));
const { hubUrl, accessToken, cacheDir, strange } = JSON.parse(settings);
const repo = "acme/tiny";
const common = { repo, hubUrl, accessToken };

const collect = async (generator) => {
  const found = [];
  for await (const item of generator) found.push(item);
  return found;
};
const hex = (bytes) => Buffer.from(bytes).toString("hex");
const textOf = async (path) => (await hub.downloadFile({ ...common, path })).text();
const failureOf = async (call) => {
  try {
    await call();
  } catch (error) {
    return error.statusCode;
  }
};

const weights = await hub.downloadFile({ ...common, path: "model.safetensors" });
const snapshot = await hub.snapshotDownload({ ...common, cacheDir });
const seen = {
  files: await collect(hub.listFiles({ ...common, recursive: true })),
  expanded: await collect(hub.listFiles({ ...common, recursive: true, expand: true })),
  paths: await hub.pathsInfo({ ...common, paths: ["config.json", "nope"] }),
  model: await hub.modelInfo({ name: repo, hubUrl, accessToken, additionalFields: ["sha", "author"] }),
  dataset: await hub.datasetInfo({ name: "acme/rows", hubUrl, accessToken }),
  models: await collect(hub.listModels({ search: { owner: "acme" }, hubUrl, accessToken })),
  commits: await collect(hub.listCommits({ ...common, batchSize: 2 })),
  commitCount: await hub.countCommits(common),
  exists: [await hub.repoExists(common), await hub.repoExists({ ...common, repo: "acme/nope" })],
  fileExists: [
    await hub.fileExists({ ...common, path: "config.json" }),
    await hub.fileExists({ ...common, path: "nope" }),
  ],
  plain: await hub.fileDownloadInfo({ ...common, path: "config.json" }),
  large: await hub.fileDownloadInfo({ ...common, path: "model.safetensors" }),
  pointer: await hub.fileDownloadInfo({ ...common, path: "model.safetensors", raw: true }),
  missing: await hub.fileDownloadInfo({ ...common, path: "nope" }),
  config: await textOf("config.json"),
  long: await textOf("long.txt"),
  weightsSize: weights.size,
  slice: hex(await weights.slice(1000, 1010).arrayBuffer()),
  snapshot: hex(await readFile(`${snapshot}/model.safetensors`)).length / 2,
  strange: await readFile(`${snapshot}/${strange}`, "utf-8"),
  me: (await hub.whoAmI({ accessToken, hubUrl })).name,
  refused: await failureOf(() => hub.checkRepoAccess({ repo: "acme/gone", hubUrl, accessToken })),
  badToken: await failureOf(() => hub.whoAmI({ accessToken: "hf_wrong", hubUrl })),
};
console.log(JSON.stringify(seen));
