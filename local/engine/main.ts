/**
 * The container of a fleet's engine, as a process: its command line, environment, HTTP surface and life cycle over a
 * simulated model (or another server's).
 *
 * SIGTERM drains for `--shutdown-timeout`, SIGUSR2 lets the engine's core die.
 */
import { createTextModel } from '../model/index.ts';
import { CommandLineError } from './command-line.ts';
import { dialectOf } from './dialects.ts';
import { Engine } from './engine.ts';
import { createEngineServer } from './server.ts';
import { readSituation } from './situation.ts';

/** After the core has died, vLLM's API server tells its clients so, and ends. */
const DEATH_MS = 50;
const IDLE_CHECK_MS = 20;

async function main(): Promise<void> {
  const situation = readSituation(process.env);
  const dialect = dialectOf(situation.kind ?? 'vllm', process.argv.slice(2), process.env, situation.other);
  const { settings } = dialect;
  // Who started this process is gone: so is this one.
  process.on('disconnect', () => process.exit(0));
  const model = await createTextModel({
    ...situation.model,
    // The scheduler says when a token is there.
    tokensPerSecond: Number.POSITIVE_INFINITY,
    timeToFirstTokenMs: 0,
  });
  const simulated = situation.model.upstream === undefined && situation.model.gguf === undefined;
  const pace = simulated ? situation.pace : undefined;
  const engine = new Engine({ settings, model, metricNames: dialect.metricNames, pace });
  const server = createEngineServer({ engine, dialect });

  let stopping = false;
  const stop = (status: number): void => {
    server.closeAllConnections();
    void model.close().finally(() => process.exit(status));
  };
  process.on('SIGTERM', () => {
    if (stopping) return;
    stopping = true;
    console.log(`Shutting down; waiting up to ${settings.shutdownTimeoutSeconds} s for ${engine.load} requests`);
    if (settings.shutdownTimeoutSeconds === 0 || !server.listening) return stop(0);
    setTimeout(() => stop(0), settings.shutdownTimeoutSeconds * 1000);
    server.close(() => stop(0));
    // A connection that is kept alive after its answer is idle only then.
    setInterval(() => server.closeIdleConnections(), IDLE_CHECK_MS);
  });
  process.on('SIGUSR2', () => {
    console.log('EngineCore encountered a fatal error.');
    engine.die();
    setTimeout(() => process.exit(1), DEATH_MS);
  });

  console.log(`Loading ${settings.model}`);
  setTimeout(() => {
    if (stopping) return;
    // Only a port that the task definition maps can be reached.
    const port = settings.reachable ? situation.ports[settings.port] : undefined;
    server.listen(port ?? 0, '127.0.0.1', () => {
      console.log(`Application startup complete: ${simulated ? 'simulated' : model.description}`);
    });
  }, situation.loadMs);
}

main().catch((error: unknown) => {
  if (error instanceof CommandLineError) {
    console.error(`${readSituation(process.env).kind ?? 'vllm serve'}: error: ${error.message}`);
    process.exit(2);
  }
  console.error(error);
  process.exit(1);
});
