import type { Model } from '../../model/model';
import { FleetBackend } from '../backends/fleet';

/** Jobs at once when only managed models answer: below what Bedrock allows a new account, with room for live requests. */
const MANAGED = 50;

/** Requests that a task of a fleet works on at once, by cautious standards; more would only wait in its queue. */
const PER_TASK = 16;

/** A model's first backend decides how many jobs make sense at once: the others answer when it can't. */
export function defaultConcurrentJobs(models: readonly Model[]): number {
  const tasks = models.flatMap(({ backends: [first] }) => (first instanceof FleetBackend ? [first._maxTasks] : []));
  // Several models of one fleet share its tasks: the largest says how many there are.
  return tasks.length === 0 ? MANAGED : Math.max(...tasks) * PER_TASK;
}
