type Environment = Readonly<Record<string, string | undefined>>;

/** What the construct `JobQueue` tells its functions. The names stand in `lib/private/jobs/environment.ts` too. */
export interface JobEnvironment {
  readonly table: string;
  readonly bucket: string;
  readonly jobsQueueUrl: string;
  readonly noticesQueueUrl: string;
  readonly retentionMs: number;
}

/** @throws Error that names the variable that is missing */
export function jobEnvironment(env: Environment): JobEnvironment {
  return {
    table: required(env, 'LLM_JOBS_TABLE'),
    bucket: required(env, 'LLM_JOBS_BUCKET'),
    jobsQueueUrl: required(env, 'LLM_JOBS_QUEUE_URL'),
    noticesQueueUrl: required(env, 'LLM_NOTICES_QUEUE_URL'),
    retentionMs: Number(required(env, 'LLM_JOBS_RETENTION_SECONDS')) * 1000,
  };
}

export function required(env: Environment, name: string): string {
  const value = env[name];
  if (value === undefined || value === '') throw new Error(`environment variable ${name} is missing`);
  return value;
}
