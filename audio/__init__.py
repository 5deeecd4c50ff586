"""Sound and time: sample clock, frames, files, resampling, playout. Imports none of the other folders."""
