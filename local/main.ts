/**
 * Builds, synthesizes and runs the stack on this machine, without an AWS account.
 *
 *   npm start [-- --port N] [--upstream URL] [--help]
 */
import { createServer } from 'node:net';
import { join, relative, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { banner } from './cli/banner.ts';
import { Commands } from './cli/commands.ts';
import { writeEndpointFile } from './cli/endpoint-file.ts';
import { readable } from './cli/log-lines.ts';
import { type CliOptions, parseOptions, USAGE, UsageError } from './cli/options.ts';
import { synthesize } from './cli/synthesize.ts';
import { createTextModel, requireGguf, type TextModel, type TextModelOptions } from './model/index.ts';
import { type LocalRun, startLocal } from './run.ts';

const ROOT = fileURLToPath(new URL('../', import.meta.url));

/** The runtime of the functions; `npm start` finds it in node_modules, whatever the machine has. */
const NODE_MAJOR = 24;

/** Exit status after a signal: 128 and its number. */
const SIGNALS = { SIGINT: 130, SIGTERM: 143, SIGHUP: 129 } as const;

const commands = new Commands(ROOT);
const cleanups: Array<() => Promise<void> | void> = [() => commands.stop()];
let stopping = false;

/** Ends what was started, the last first. */
async function stop(status: number): Promise<never> {
  stopping = true;
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup();
  process.exit(status);
}

for (const [signal, status] of Object.entries(SIGNALS)) {
  process.on(signal, () => {
    // The second time at once: the functions' processes end by themselves when this one is gone.
    if (stopping) process.exit(status);
    void stop(status);
  });
}

/** npm (and the shell between) die of a SIGTERM without passing it on: who ends `npm start` means this process. */
const PARENT_CHECK_MS = 500;
if (process.env.npm_lifecycle_event !== undefined) {
  const parent = process.ppid;
  setInterval(() => {
    if (process.ppid !== parent && !stopping) void stop(SIGNALS.SIGTERM);
  }, PARENT_CHECK_MS).unref();
}

async function main(): Promise<void> {
  const options = parseOptions(process.argv.slice(2));
  if (options.help) {
    console.log(USAGE);
    return;
  }
  if (Number(process.versions.node.split('.')[0]) < NODE_MAJOR) {
    throw new Error(
      `this is Node ${process.versions.node}, the functions run on ${NODE_MAJOR}: use npm start, which has it`,
    );
  }
  if (options.gguf !== undefined) requireGguf(options.gguf);
  // Before the seconds that a build and a synthesis may take.
  await checkPort(options.port);
  const stateFolder = options.state === undefined ? join(ROOT, '.local') : resolve(options.state);
  const assembly = await synthesize(options, commands, stateFolder);
  const model = await createTextModel(modelOptions(options));
  cleanups.push(() => model.close());
  const run = await start(options, assembly, model, stateFolder);
  cleanups.push(() => run.close());
  const endpointFile = join(stateFolder, 'endpoint.json');
  const removeEndpointFile = writeEndpointFile(endpointFile, run);
  process.once('exit', removeEndpointFile);
  console.log(
    banner({
      run,
      model: model.description,
      modelName: (await firstModel(run)) ?? 'YOUR_MODEL',
      endpointFile: relative(process.cwd(), endpointFile),
      realAws: options.realAws,
      speed: options.speed,
    }),
  );
}

function modelOptions(options: CliOptions): TextModelOptions {
  return {
    ...(options.upstream === undefined ? {} : { upstream: options.upstream }),
    ...(options.upstreamModel === undefined ? {} : { upstreamModel: options.upstreamModel }),
    ...(process.env.UPSTREAM_API_KEY === undefined ? {} : { upstreamApiKey: process.env.UPSTREAM_API_KEY }),
    ...(options.gguf === undefined ? {} : { gguf: resolve(options.gguf) }),
  };
}

async function start(options: CliOptions, assembly: string, model: TextModel, stateFolder: string): Promise<LocalRun> {
  const format = { verbose: options.verbose, now: Date.now };
  return startLocal({
    assembly,
    model,
    port: options.port,
    stateFolder,
    speed: options.speed,
    fleets: { model: modelOptions(options) },
    realAws: options.realAws,
    maxConcurrency: options.concurrency,
    ...(options.compute === undefined ? {} : { compute: options.compute }),
    ...(options.quiet ? {} : { log: (label, line) => console.log(readable(label, line, format)) }),
    ...(options.verbose ? { accessLog: (line) => console.log(readable('access', line, format)) } : {}),
    failure: (requestId, error) => console.error(`API Gateway: request ${requestId}: ${error.message}`),
  }).catch((error: unknown) => {
    throw isTaken(error) ? taken(options.port, error) : error;
  });
}

/** @throws Error when something listens there already */
async function checkPort(port: number): Promise<void> {
  const server = createServer();
  await new Promise<void>((resolve, reject) => {
    server.once('error', (error) => reject(isTaken(error) ? taken(port, error) : error));
    server.listen(port, '127.0.0.1', () => server.close(() => resolve()));
  });
}

function isTaken(error: unknown): boolean {
  return error instanceof Error && 'code' in error && error.code === 'EADDRINUSE';
}

function taken(port: number, cause: unknown): Error {
  return new Error(`port ${port} is taken: end what listens there, or choose another one with --port N`, { cause });
}

/** The first model that the API lists, asked for as a client would: it shows that the whole path works. */
async function firstModel(run: LocalRun): Promise<string | undefined> {
  // A fleet without an API starts only now.
  if (run.dashboardUrl === undefined) return run.fleets[0]?.modelName;
  const response = await fetch(`${run.url}/models`, { headers: { authorization: `Bearer ${run.apiKey}` } });
  if (!response.ok) return undefined;
  const list = (await response.json()) as { data?: ReadonlyArray<{ id?: string }> };
  return list.data?.[0]?.id;
}

main().catch((error: unknown) => {
  if (stopping) return;
  console.error(error instanceof Error ? error.message : error);
  if (error instanceof UsageError) console.error(`\n${USAGE}`);
  void stop(error instanceof UsageError ? 2 : 1);
});
