/** What a node tells the others of itself. */
import { z } from 'zod';

/** Name of a node: it stays over restarts, and stands in keys and subjects. */
export const NODE_NAME = /^[A-Za-z0-9][A-Za-z0-9_-]{0,62}$/;
/** Labels of a node, and their values. */
export const LABEL = /^[A-Za-z0-9][A-Za-z0-9._/-]{0,62}$/;
export const LABELS_MAX = 64;
/** Relative to other nodes: one of 2 gets twice the shards of one of 1. */
export const CAPACITY_MAX = 1_000;

/**
 * - `up`: takes shards
 * - `waiting`: came back after crashes, and takes shards only where nobody else can
 * - `draining`: an operator wants it empty; keeps shards only where nobody else can run them
 * - `leaving`: is being stopped, and takes nothing
 */
export const MEMBER_STATES = ['up', 'waiting', 'draining', 'leaving'] as const;

export const memberSchema = z.object({
  /** Of this process. */
  id: z.string().min(1),
  /** Of the node, over restarts. */
  name: z.string().regex(NODE_NAME),
  /** Of the package it runs. */
  version: z.string(),
  state: z.enum(MEMBER_STATES),
  capacity: z.number().positive(),
  labels: z.record(z.string(), z.string()),
  /** Every machine it has, `name@version`. */
  machines: z.array(z.string()),
  /** What new actors of a kind begin on, `name@version`, by type. */
  kinds: z.record(z.string(), z.string()),
  /** ms since the epoch, by its own clock. */
  startedAt: z.number(),
  /** Shards it runs, with the epoch it has each under. */
  shards: z.record(z.string(), z.int()),
  /** Whether it answers `if.api.node.<id>.ping` for as long as this row stands. */
  knockable: z.boolean().optional(),
  /** Shards it cannot run, and why. */
  failed: z.record(z.string(), z.object({ code: z.string(), message: z.string() })),
});

export type Member = z.infer<typeof memberSchema>;
export type MemberState = Member['state'];

/** The machine versions that a shard's log asks of its owner: without one of them nobody can recover it. */
export const shardNeedsSchema = z.object({ epoch: z.int(), machines: z.array(z.string()) });
