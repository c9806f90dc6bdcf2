import type { IWidget } from 'aws-cdk-lib/aws-cloudwatch';
import type { JobQueue } from '../../jobs/job-queue';
import { graphs, heading } from './rows';

const COUNT = { min: 0, showUnits: false };
const SECONDS = { label: 's', min: 0, showUnits: false };

/** What waits, what came of it, and what nobody could handle or deliver. */
export function jobRows(jobs: JobQueue): IWidget[] {
  return [
    heading('Jobs'),
    ...graphs(
      {
        title: 'Jobs that wait and could run',
        leftYAxis: COUNT,
        left: [jobs.metricDepth({ label: 'waiting' })],
      },
      {
        title: 'How long the oldest of them has waited',
        leftYAxis: SECONDS,
        left: [jobs.metricOldestJobAge({ label: 'seconds' })],
      },
    ),
    ...graphs(
      {
        title: 'Jobs that came to their end',
        leftYAxis: COUNT,
        stacked: true,
        left: [
          jobs.metricSucceeded({ label: 'succeeded' }),
          jobs.metricFailed({ label: 'failed' }),
          jobs.metricCancelled({ label: 'cancelled' }),
          jobs.metricExpired({ label: 'expired' }),
        ],
      },
      {
        title: 'Put aside',
        leftYAxis: COUNT,
        left: [
          jobs.metricDeadLetters({ label: 'messages that no worker could handle' }),
          jobs.metricUndeliveredNotices({ label: 'webhooks that were not delivered' }),
        ],
      },
    ),
  ];
}
