//! Rules that safety rests upon, as a value: so that the tests can break one of them and see the search find it.

/// What the core keeps to. There is one value of it outside of the tests.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Rules {
    /// After how many thirtieths of `takeover` without a change a host is fenced.
    pub(crate) fence_after: u64,
    /// Deadlines count from before the beat was sent, not from its answer.
    pub(crate) from_before_sending: bool,
    /// Who takes a share that does not count any more makes sure that it still does not.
    pub(crate) compare_generations: bool,
    /// A session is out of use and its token gone before it is given.
    pub(crate) give_what_is_out: bool,
    /// What may have been given is not ours until a write of ours says that it was not.
    pub(crate) ambiguous_is_given: bool,
    /// A home session that is to float obeys the deadlines of floating ones before the record says that it is one.
    pub(crate) float_here_first: bool,
    /// Who stays after all first makes sure that no leave that it sent can be committed any more.
    pub(crate) bar_leaves: bool,
    /// The format is raised when all hosts speak it that may come back with what they have, not only this one.
    pub(crate) raise_asks_all: bool,
    /// Who raises it makes sure that no host came, and none said another thing, since all were asked.
    pub(crate) raise_bars_joins: bool,
    /// Who joins makes sure that the format is the one that it read.
    pub(crate) join_compares_meta: bool,
}

impl Rules {
    /// The rules.
    pub(crate) const KEPT: Self = Self {
        fence_after: 30,
        from_before_sending: true,
        compare_generations: true,
        give_what_is_out: true,
        ambiguous_is_given: true,
        float_here_first: true,
        bar_leaves: true,
        raise_asks_all: true,
        raise_bars_joins: true,
        join_compares_meta: true,
    };
}
