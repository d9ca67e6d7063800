/** What a metered core module imports and exports, and whoever runs it provides. */

/** Module of the imports. One pair of globals serves all core modules of a run. */
export const METER_MODULE = 'infrafabric:meter';
/** A mutable i64: what is left of the run's fuel. A module traps when it falls below zero. */
export const FUEL_IMPORT = 'fuel';
/** A mutable i32: pages by which the run's memories may still grow; beyond it `memory.grow` gives -1. */
export const PAGES_IMPORT = 'pages';
/** The memory that a module defines, if it does. */
export const MEMORY_EXPORT = 'infrafabric:memory';

export const PAGE_BYTES = 65_536;
