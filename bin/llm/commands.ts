import type { CommandEntry } from './command.ts';

/** Every command by its name, in the order in which the help lists them. */
export const COMMANDS: Readonly<Record<string, CommandEntry>> = {
  jobs: {
    summary: 'lists, shows, retries and cancels jobs, and takes dead letters up again',
    load: async () => (await import('./jobs/command.ts')).jobsCommand,
  },
  route: {
    summary: 'scores routing policies on recorded requests',
    load: async () => (await import('./route/command.ts')).routeCommand,
  },
  cache: {
    summary: 'measures what a semantic cache would answer wrongly',
    load: async () => (await import('./cache/command.ts')).cacheCommand,
  },
  usage: { summary: 'what consumers, users and features used and spent', load: () => import('./usage.ts') },
  keys: { summary: 'make, list, disable and replace API keys', load: () => import('./keys.ts') },
  pause: {
    summary: 'refuses requests of a consumer or a team, or for a model',
    load: async () => (await import('./pauses/command.ts')).pauseCommand,
  },
  resume: {
    summary: 'answers them again',
    load: async () => (await import('./pauses/command.ts')).resumeCommand,
  },
  paused: {
    summary: 'lists what is paused, by whom and why',
    load: async () => (await import('./pauses/command.ts')).pausedCommand,
  },
  tco: {
    summary: 'compares a month managed, hybrid and self-hosted',
    load: async () => (await import('./tco/command.ts')).tcoCommand,
  },
};
