import { createHash } from 'node:crypto';
import { Redis } from 'iovalkey';

export interface Credentials {
  readonly username?: string;
  readonly password: string;
}

export interface ValkeyOptions {
  /** `rediss://host:port` speaks TLS; `redis://host:port` doesn't, and sends no credentials. */
  readonly endpoint: string;
  /** Asked for each connection: an IAM token lives for 15 minutes. */
  readonly credentials?: () => Promise<Credentials>;
  /** A command's. */
  readonly timeoutMs: number;
  /** Of a connection that isn't there yet: DNS, TCP, TLS, authentication. */
  readonly connectTimeoutMs: number;
  readonly now?: () => number;
}

/** So many failures in a row, and the cache is left alone for a while. */
const FAILURES_TO_OPEN = 3;
const OPEN_MS = 1000;
const MAX_OPEN_MS = 15_000;
/** So that processes don't all come back at once. */
const JITTER = 0.5;
const DEFAULT_PORT = 6379;

/** A script, sent as its hash once the server knows it. */
export class Script {
  readonly lua: string;
  readonly keys: number;
  readonly sha: string;

  constructor(keys: number, lua: string) {
    this.keys = keys;
    this.lua = lua;
    this.sha = createHash('sha1').update(lua).digest('hex');
  }
}

type Argument = string | number | Buffer;

/**
 * A connection to Valkey that requests may rely on not to hold them up: each command has a deadline, and when several
 * have failed nothing is asked for a while, then by one command at a time. A lost connection is made anew when somebody
 * needs it, never by a timer: a cache that returns isn't met by a crowd.
 */
export class Valkey {
  readonly #options: ValkeyOptions;
  readonly #now: () => number;
  #connecting: Promise<Redis> | undefined;
  #connected: Redis | undefined;
  #failures = 0;
  #openUntil = 0;
  #openings = 0;
  #isProbing = false;
  #isClosed = false;

  constructor(options: ValkeyOptions) {
    this.#options = options;
    this.#now = options.now ?? Date.now;
  }

  /** `undefined` when it failed, came too late, or wasn't tried. */
  async run<T>(
    command: (client: Redis) => Promise<T>,
    { timeoutMs = this.#options.timeoutMs, onLate }: { timeoutMs?: number; onLate?: (reply: T) => void } = {},
  ): Promise<T | undefined> {
    if (!this.isAvailable) return undefined;
    const isProbe = this.#openings > 0;
    this.#isProbing = isProbe;
    let isLate = false;
    const running = this.#client()
      .then(command)
      .then((reply) => {
        if (isLate) onLate?.(reply);
        return { reply };
      });
    const limitMs = this.#connected === undefined ? this.#options.connectTimeoutMs + timeoutMs : timeoutMs;
    try {
      const { reply } = await within(running, limitMs);
      this.#succeeded();
      return reply;
    } catch (error) {
      isLate = true;
      running.catch(() => undefined);
      this.#failed(error);
      return undefined;
    } finally {
      if (isProbe) this.#isProbing = false;
    }
  }

  /** @see run */
  script(
    script: Script,
    args: readonly Argument[],
    options: { onLate?: (reply: unknown) => void } = {},
  ): Promise<unknown> {
    return this.run(async (client) => {
      const rest = [script.keys, ...args];
      try {
        return await client.callBuffer('EVALSHA', script.sha, ...rest);
      } catch (error) {
        if (!(error instanceof Error && error.message.startsWith('NOSCRIPT'))) throw error;
        return await client.callBuffer('EVAL', script.lua, ...rest);
      }
    }, options);
  }

  get isAvailable(): boolean {
    return !this.#isClosed && this.#now() >= this.#openUntil && !this.#isProbing;
  }

  /** A connection of one's own, for commands that wait. @throws */
  async dedicated(): Promise<Redis> {
    return within(this.#connect(), this.#options.connectTimeoutMs);
  }

  close(): void {
    this.#isClosed = true;
    this.#connected?.disconnect();
    this.#connecting?.then((client) => client.disconnect()).catch(() => undefined);
  }

  #client(): Promise<Redis> {
    this.#connecting ??= this.#connect().then(
      (client) => {
        this.#connected = client;
        client.once('end', () => this.#drop(client));
        if (client.status === 'end') this.#drop(client);
        return client;
      },
      (error) => {
        this.#connecting = undefined;
        throw error;
      },
    );
    return this.#connecting;
  }

  #drop(client: Redis): void {
    if (this.#connected !== client) return;
    this.#connected = undefined;
    this.#connecting = undefined;
  }

  async #connect(): Promise<Redis> {
    const { endpoint, credentials, connectTimeoutMs } = this.#options;
    const { hostname, port, protocol } = new URL(endpoint);
    const isEncrypted = protocol === 'rediss:';
    const own = isEncrypted ? await credentials?.() : undefined;
    const client = new Redis({
      host: hostname,
      port: Number(port || DEFAULT_PORT),
      ...(isEncrypted ? { tls: { servername: hostname } } : {}),
      ...(own?.username === undefined ? {} : { username: own.username }),
      ...(own === undefined ? {} : { password: own.password }),
      connectTimeout: connectTimeoutMs,
      lazyConnect: true,
      // What can't be sent now has failed: sent later it would do what nobody waits for any more.
      enableOfflineQueue: false,
      enableReadyCheck: false,
      autoResendUnfulfilledCommands: false,
      maxRetriesPerRequest: 0,
      retryStrategy: () => null,
    });
    client.on('error', () => undefined);
    await client.connect();
    return client;
  }

  #succeeded(): void {
    this.#failures = 0;
    this.#openings = 0;
    this.#openUntil = 0;
  }

  #failed(error: unknown): void {
    // It answered, if not to our liking (no memory left, a command that it doesn't know).
    if (error instanceof Error && error.name === 'ReplyError') return;
    this.#failures += 1;
    if (this.#failures < FAILURES_TO_OPEN && this.#openings === 0) return;
    const openMs = Math.min(MAX_OPEN_MS, OPEN_MS * 2 ** this.#openings);
    this.#openings += 1;
    this.#failures = 0;
    this.#openUntil = this.#now() + openMs * (1 - JITTER * Math.random());
    // A connection on which nothing comes back may be dead without knowing it.
    const client = this.#connected;
    if (client === undefined) return;
    this.#drop(client);
    client.disconnect();
  }
}

async function within<T>(promise: Promise<T>, ms: number): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error(`no answer within ${ms} ms`)), ms);
  });
  try {
    return await Promise.race([promise, late]);
  } finally {
    clearTimeout(timer);
  }
}
