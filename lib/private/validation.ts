import { type Duration, type Size, Token } from 'aws-cdk-lib';

/**
 * Checks of props. Each throws an error that names the prop, its value and what it may be; values that are only
 * known at deploy are let through.
 */

/** Names that stand in metrics, headers and the consumers' environment variable: no separators, no quotes. */
const NAME = /^[A-Za-z0-9][A-Za-z0-9_.-]{0,63}$/;

/** For what stands in the handler's asset, or is reckoned with. */
export function requireKnown(prop: string, value: number | string | undefined): void {
  if (Token.isUnresolved(value)) {
    throw new Error(`${prop} must be known at synth, but it is a token: pass a plain ${typeof value}`);
  }
}

/** @returns the burst that goes with a rate */
export function requireBurst(requestsPerSecond: number, burst: number | undefined): number {
  requireNumber('requestsPerSecond', requestsPerSecond, 0.001);
  if (burst === undefined && Token.isUnresolved(requestsPerSecond)) {
    throw new Error('burst is needed when requestsPerSecond is known only at deployment: its default is twice that');
  }
  const value = burst ?? Math.ceil(requestsPerSecond * 2);
  requireInteger('burst', value, 1);
  return value;
}

/** @param fromId the name is the construct's id in lower case */
export function requireName(prop: string, value: string, fromId = false): void {
  requireKnown(prop, value);
  if (!NAME.test(value)) {
    throw new Error(
      `${prop} must be 1–64 letters, digits, "_", "." or "-" and begin with a letter or digit, got "${value}"${fromId ? `, the construct's id in lower case: pass ${prop}` : ''}`,
    );
  }
}

/** The ledger counts nanodollars, in numbers that are exact up to nine million dollars. */
const MAX_BUDGET_USD = 9_000_000;

export function requireBudget(value: number | undefined): void {
  requireKnown('monthlyBudgetUsd', value);
  requireNumber('monthlyBudgetUsd', value, 0.000001, MAX_BUDGET_USD);
}

export function requireUnique(prop: string, values: readonly string[]): void {
  const duplicate = values.find((value, index) => values.indexOf(value) !== index);
  if (duplicate !== undefined) throw new Error(`${prop} must not repeat a value, but "${duplicate}" is there twice`);
}

export function requireInteger(prop: string, value: number | undefined, min: number, max?: number): void {
  if (value === undefined || Token.isUnresolved(value)) return;
  if (!Number.isInteger(value) || value < min || (max !== undefined && value > max)) {
    throw new Error(`${prop} must be a whole number ${range(min, max)}, got ${value}`);
  }
}

export function requireNumber(prop: string, value: number | undefined, min: number, max?: number): void {
  if (value === undefined || Token.isUnresolved(value)) return;
  if (!Number.isFinite(value) || value < min || (max !== undefined && value > max)) {
    throw new Error(`${prop} must be a number ${range(min, max)}, got ${value}`);
  }
}

/** @returns whole milliseconds */
export function requireDuration(prop: string, value: Duration, min: Duration, max: Duration): number {
  if (value.isUnresolved()) throw new Error(`${prop} must be known at synth, but it is a token: pass a plain Duration`);
  const milliseconds = value.toMilliseconds({ integral: false });
  if (milliseconds < min.toMilliseconds() || milliseconds > max.toMilliseconds()) {
    throw new Error(
      `${prop} must be between ${min.toHumanString()} and ${max.toHumanString()}, got ${value.toHumanString()}`,
    );
  }
  return Math.round(milliseconds);
}

/** @returns whole bytes */
export function requireSize(prop: string, value: Size, min: Size, max: Size): number {
  if (value.isUnresolved()) throw new Error(`${prop} must be known at synth, but it is a token: pass a plain Size`);
  const bytes = value.toBytes();
  if (bytes < min.toBytes() || bytes > max.toBytes()) {
    throw new Error(`${prop} must be between ${min.toBytes()} and ${max.toBytes()} bytes, got ${bytes}`);
  }
  return bytes;
}

function range(min: number, max: number | undefined): string {
  return max === undefined ? `of at least ${min}` : `between ${min} and ${max}`;
}
