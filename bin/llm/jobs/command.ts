import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { cancelJob } from '../../../lambda/job/cancel-job.ts';
import { stores } from '../../../lambda/job/from-environment.ts';
import type { Job, JobStatus } from '../../../lambda/job/job.ts';
import { ttlOf } from '../../../lambda/job/run-job.ts';
import { redeliver, retry } from '../../../lambda/job/transitions.ts';
import { type Command, type Io, parse, UsageError } from '../command.ts';
import { DeadLetters } from './dead-letters.ts';
import { findJobs } from './find.ts';

const usage = `usage: llm-serving jobs list [--consumer NAME] [--status STATUS] [--limit N]
       llm-serving jobs show ID [--content]
       llm-serving jobs retry ID        run a failed, expired or cancelled job again
       llm-serving jobs cancel ID
       llm-serving jobs redrive [ID]    take dead letters up again: messages, and notifications that weren't delivered;
                                        with ID send this job's notification once more

  --consumer NAME   of one consumer
  --status STATUS   queued, running, succeeded, failed, cancelled or expired
  --limit N         at most so many, the newest first (default: 50)
  --content         request and result too
  --json            one JSON object a line
  --local           the run of 'npm start' on this machine
  --state FOLDER    state folder of that run (default: .local)

Where the jobs are stands in environment variables, as the output JobsEnvironment of the stack has them:
  env LLM_JOBS_TABLE=… LLM_JOBS_QUEUE_URL=… … llm-serving jobs list`;

const OPTIONS = {
  consumer: { type: 'string' },
  status: { type: 'string' },
  limit: { type: 'string', default: '50' },
  content: { type: 'boolean' },
  json: { type: 'boolean' },
  local: { type: 'boolean' },
  state: { type: 'string', default: '.local' },
} as const;

const STATUSES: readonly string[] = [
  'queued',
  'running',
  'succeeded',
  'failed',
  'cancelled',
  'expired',
] satisfies JobStatus[];

export const jobsCommand: Command = {
  usage,
  async run(args, io) {
    const { values, positionals } = parse(args, OPTIONS, true);
    const [action = '', id, ...rest] = positionals;
    if (rest.length > 0) throw new UsageError(`unexpected: ${rest.join(' ')}`);
    if (values.local) Object.assign(process.env, localEnvironment(values.state));
    const store = open(process.env);
    switch (action) {
      case 'list':
        return list(values, store, io);
      case 'show':
        return show(await known(id, store), values.content === true, io);
      case 'retry':
        return again(await known(id, store), store, io);
      case 'cancel':
        return stop(await known(id, store), store, io);
      case 'redrive':
        return id === undefined ? redriveAll(store, io) : resend(await known(id, store), store, io);
      default:
        throw new UsageError('expected one of list, show, retry, cancel, redrive');
    }
  },
};

type Store = ReturnType<typeof stores>;

function open(env: NodeJS.ProcessEnv): Store {
  try {
    return stores(env);
  } catch (error) {
    throw new UsageError(error instanceof Error ? error.message : String(error), { cause: error });
  }
}

/** What the local run's functions have. @throws UsageError */
function localEnvironment(folder: string): Record<string, string> {
  const file = join(folder, 'endpoint.json');
  let jobs: Record<string, string> | undefined;
  try {
    jobs = (JSON.parse(readFileSync(file, 'utf8')) as { jobs?: Record<string, string> }).jobs;
  } catch {
    throw new UsageError(`${file} is not there: is 'npm start' running?`);
  }
  if (jobs === undefined) throw new UsageError(`the local run of ${file} has no jobs: start it with -c jobs=true`);
  return jobs;
}

async function known(id: string | undefined, { jobs }: Store): Promise<Job> {
  if (id === undefined) throw new UsageError('expected the id of a job');
  const job = await jobs.get(id);
  if (job === undefined) throw new Error(`no job has the id ${id}`);
  return job;
}

async function list(
  values: { consumer?: string | undefined; status?: string | undefined; limit: string; json?: boolean | undefined },
  store: Store,
  io: Io,
): Promise<void> {
  const limit = Number(values.limit);
  if (!(Number.isInteger(limit) && limit >= 1))
    throw new UsageError(`--limit must be a whole number, got ${values.limit}`);
  if (values.status !== undefined && !STATUSES.includes(values.status)) {
    throw new UsageError(`--status must be one of ${STATUSES.join(', ')}, got ${values.status}`);
  }
  const { consumer, status } = values;
  const found = await findJobs(store.items, {
    ...(consumer === undefined ? {} : { consumer }),
    ...(status === undefined ? {} : { status }),
  });
  for (const job of found.slice(0, limit)) io.out(values.json ? `${JSON.stringify(withoutContent(job))}\n` : line(job));
  if (found.length > limit) io.err(`${found.length - limit} more\n`);
}

const line = (job: Job): string =>
  `${[
    new Date(job.createdAt).toISOString(),
    job.status.padEnd(9),
    job.id,
    job.consumer,
    job.model,
    `attempts ${job.attempts}`,
    ...(job.waitsFor === undefined ? [] : [`waits for ${job.waitsFor}`]),
    ...(job.notice === 'none' ? [] : [`notice ${job.notice}`]),
  ].join('  ')}\n`;

/** What people wrote and models answered is nobody's business who only looks after the queue. */
function withoutContent(job: Job): object {
  const { request: _, result: __, partial: ___, form: ____, ...rest } = job;
  return rest;
}

function show(job: Job, content: boolean, io: Io): void {
  io.out(`${JSON.stringify(content ? job : withoutContent(job), undefined, 2)}\n`);
}

/** As long as it had at first. */
async function again(job: Job, { jobs, queues, now }: Store, io: Io): Promise<void> {
  if (job.kind === 'line') {
    throw new Error(`${job.id} is a line of ${job.batch}, whose files have its end: run it again in a new batch`);
  }
  const at = now();
  const expiresAt = at + (job.expiresAt - job.createdAt);
  const next = await jobs.change(job.id, retry(at, expiresAt, ttlOf(job, expiresAt), job.webhookUrl !== undefined));
  if (next === undefined)
    throw new Error(`${job.id} is ${job.status}: only a failed, expired or cancelled job is run again`);
  await queues.run(next, 0);
  io.err(`${job.id} is queued again\n`);
}

async function stop(job: Job, store: Store, io: Io): Promise<void> {
  const { status } = await cancelJob(job, { ...store, table: store.jobs });
  io.err(`${job.id} is ${status}\n`);
}

async function resend(job: Job, { jobs, queues }: Store, io: Io): Promise<void> {
  const next = await jobs.change(job.id, redeliver());
  if (next === undefined) throw new Error(`${job.id} has no notification that was delivered or given up`);
  await queues.notify(next, 0);
  io.err(`${job.id}: its notification is sent again\n`);
}

async function redriveAll(store: Store, io: Io): Promise<void> {
  let unreadable = 0;
  const skip = (): void => void unreadable++;
  const messages = await new DeadLetters(process.env.LLM_JOBS_QUEUE_URL ?? '').redrive(undefined, skip);
  const notices = new DeadLetters(process.env.LLM_NOTICES_QUEUE_URL ?? '');
  // First the job's own record, or the message would find nothing to do.
  const sent = await notices.redrive(async ({ notice }) => {
    if (notice !== undefined) await store.jobs.change(notice, redeliver());
  }, skip);
  if (unreadable > 0) io.err(`${unreadable} messages name no job, batch or notification and stay where they are\n`);
  io.err(`${messages} messages and ${sent} notifications were taken up again\n`);
}
