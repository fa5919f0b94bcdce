use serde::{Deserialize, Serialize};

/// A family of orthonormal polynomials in one dimension.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Family {
    /// He_n(x) / sqrt(n!), orthonormal under N(0, 1).
    Hermite,
    /// sqrt(2n + 1) P_n(x), orthonormal under the uniform density 1/2 on [-1, 1].
    Legendre,
}

/// A tensor product of one-dimensional polynomials: (dimension, degree) for each degree above 0. The constant has none.
pub type Term = Vec<(usize, usize)>;

/// How many terms a basis may have. The backward pass visits the terms of a dimension in one loop, factor by factor and
/// degree by degree, and the strictest adapter ends an invocation's loops after 65,535 iterations.
pub fn max_terms(dims: usize, degree: usize, total_degree: usize) -> usize {
    let highest = highest_degree(dims, degree, total_degree);
    65_000 / (1 + highest.min(dims)).saturating_add(highest)
}

/// The highest total degree that a term has.
fn highest_degree(dims: usize, degree: usize, total_degree: usize) -> usize {
    total_degree.min(degree.saturating_mul(dims))
}

/// The multi-indices over `dims` dimensions with each degree at most `degree` and their sum at most `total_degree`, in
/// graded order: (0,0), (1,0), (0,1), (2,0), (1,1), (0,2), ...
pub fn terms(dims: usize, degree: usize, total_degree: usize) -> Vec<Term> {
    fn extend(
        term: &mut Term,
        dim: usize,
        dims: usize,
        degree: usize,
        left: usize,
        out: &mut Vec<Term>,
    ) {
        if left == 0 {
            out.push(term.clone());
            return;
        }
        // No way to spend what is left.
        if dim == dims || left > degree.saturating_mul(dims - dim) {
            return;
        }
        for n in (1..=degree.min(left)).rev() {
            term.push((dim, n));
            extend(term, dim + 1, dims, degree, left - n, out);
            term.pop();
        }
        extend(term, dim + 1, dims, degree, left, out);
    }
    let mut out = Vec::new();
    for total in 0..=highest_degree(dims, degree, total_degree) {
        extend(&mut Vec::new(), 0, dims, degree, total, &mut out);
    }
    out
}

/// How many terms [`terms`] yields, without making them, and without counting further than the number that is certainly
/// too many: `usize::MAX` stands for more than that.
pub fn count_terms(dims: usize, degree: usize, total_degree: usize) -> usize {
    const CERTAINLY_TOO_MANY: usize = 1 << 20;
    let highest = highest_degree(dims, degree, total_degree);
    // There is a term of each total degree.
    if highest >= CERTAINLY_TOO_MANY {
        return usize::MAX;
    }
    if highest == 0 {
        return 1;
    }
    // ways[t]: multi-indices over the dimensions so far with sum t.
    let mut ways = vec![0usize; highest + 1];
    ways[0] = 1;
    for _ in 0..dims {
        let before = ways.clone();
        // The sum of the last degree + 1 entries.
        let mut window = 0usize;
        for t in 0..ways.len() {
            window += before[t];
            if t > degree {
                window -= before[t - degree - 1];
            }
            ways[t] = window;
        }
        // Dimensions only add terms.
        if ways.iter().fold(0, |sum: usize, &w| sum.saturating_add(w)) > CERTAINLY_TOO_MANY {
            return usize::MAX;
        }
    }
    ways.into_iter().sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn graded_order() {
        let dense = |term: &Term| {
            let mut index = [0; 2];
            for &(dim, n) in term {
                index[dim] = n;
            }
            index
        };
        let order: Vec<_> = terms(2, 3, 2).iter().map(dense).collect();
        assert_eq!(order, [[0, 0], [1, 0], [0, 1], [2, 0], [1, 1], [0, 2]]);
        let capped: Vec<_> = terms(2, 1, 2).iter().map(dense).collect();
        assert_eq!(capped, [[0, 0], [1, 0], [0, 1], [1, 1]]);
    }

    #[test]
    fn the_count_is_that_of_the_terms() {
        for dims in 1..5 {
            for degree in 0..5 {
                for total in 0..9 {
                    assert_eq!(
                        count_terms(dims, degree, total),
                        terms(dims, degree, total).len(),
                        "{dims} {degree} {total}"
                    );
                }
            }
        }
        assert_eq!(count_terms(64, 3, 3), 47_905);
        assert_eq!(count_terms(100_000, 50, 50), usize::MAX);
        for huge in [1_000_000_000, usize::MAX] {
            assert_eq!(count_terms(2, huge, huge), usize::MAX);
            assert_eq!(count_terms(huge, huge, huge), usize::MAX);
            assert_eq!(count_terms(3, 1, huge), 8);
            assert_eq!(count_terms(huge, 1, 1), usize::MAX);
            assert_eq!(count_terms(huge, 0, huge), 1);
            assert_eq!((max_terms(3, 1, huge), max_terms(2, huge, huge)), (9285, 0));
        }
    }
}
