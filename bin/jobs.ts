import { Duration } from 'aws-cdk-lib';
import type { JobQueueOptions } from '../lib/index.js';
import { seconds } from './backends.ts';
import { type Decode, fields, number } from './decode.ts';

const settings = fields({
  resultRetentionDays: number,
  maxConcurrentJobs: number,
  jobsPerWorker: number,
  workerMemoryMiB: number,
  oldestJobAlarmMinutes: number,
  depthAlarm: number,
});

/** `jobs`: `true`, or the queue's settings. `false` is none. */
export const jobs: Decode<JobQueueOptions | undefined> = (value, path) => {
  if (value === false || value === 'false') return undefined;
  if (value === true || value === 'true') return {};
  const { resultRetentionDays, oldestJobAlarmMinutes, ...rest } = settings(value, path);
  return {
    ...rest,
    resultRetention: resultRetentionDays === undefined ? undefined : seconds(resultRetentionDays * 86_400),
    oldestJobAlarm: oldestJobAlarmMinutes === undefined ? undefined : Duration.minutes(oldestJobAlarmMinutes),
  };
};
