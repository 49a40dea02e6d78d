//! The same Rust code compiled once for each kind of register that CPUs have, chosen when it runs.
//!
//! A kernel is generic over its [`Level`]. Loops over integers and `f64` are left to LLVM, which has the level's
//! instructions; arithmetic in `f32` goes through [`Singles`], whose operations name them.

mod baseline;
mod half;
mod register;

#[cfg(target_arch = "x86_64")]
mod avx2;
#[cfg(target_arch = "x86_64")]
mod avx512;
#[cfg(target_arch = "aarch64")]
mod neon;

use std::sync::OnceLock;

use crate::Error;
pub(crate) use baseline::Baseline;
pub(crate) use half::widen_halves;

/// Numbers that are computed with at once, at every level: two registers of AVX2, one of AVX-512, four of SSE2 or NEON.
pub(crate) const LANES: usize = 16;

/// What a CPU has.
pub(crate) trait Level {
    /// Whether a product and a sum are rounded once. Nothing is fused but by [`mul_add`] and [`Singles::mul_add`], so a
    /// kernel without them gives the same bits at every level.
    const FUSED: bool;

    /// Sixteen numbers of this level.
    type Singles: Singles;
}

/// Work with its arguments. `run` must be `#[inline(always)]`, so that it is compiled with the instructions of its caller.
/// It loops with `for`: a closure that LLVM does not inline would be compiled for the baseline.
pub(crate) trait Kernel {
    type Output;

    fn run<L: Level>(self) -> Self::Output;
}

/// `a * b + c`, with one rounding if the level has it.
#[inline(always)]
pub(crate) fn mul_add<L: Level>(a: f64, b: f64, c: f64) -> f64 {
    if L::FUSED { a.mul_add(b, c) } else { a * b + c }
}

/// Asks for what lies one block of `f32` further on, so that it is in the cache by then: CPUs look ahead on their own, but
/// not beyond a page. It may lie outside of any array.
#[inline(always)]
pub(crate) fn prefetch(chunk: &[f32; LANES]) {
    #[cfg(target_arch = "x86_64")]
    {
        use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
        let ahead = chunk.as_ptr().wrapping_add(crate::chunk::BLOCK * LANES);
        // SAFETY: every x86-64 CPU has the instruction, which reads nothing that the program could see.
        unsafe { _mm_prefetch::<_MM_HINT_T0>(ahead.cast()) };
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = chunk;
}

/// Sixteen `f32`, and what can be done with each of them.
pub(crate) trait Singles: Copy {
    /// One truth for each number.
    type Mask: Copy;

    fn splat(x: f32) -> Self;
    fn load(from: &[f32; LANES]) -> Self;
    fn store(self, to: &mut [f32; LANES]);

    fn add(self, other: Self) -> Self;
    fn sub(self, other: Self) -> Self;
    fn mul(self, other: Self) -> Self;
    fn div(self, other: Self) -> Self;

    /// `self * factor + summand`, with one rounding if [`Level::FUSED`].
    fn mul_add(self, factor: Self, summand: Self) -> Self;

    /// `summand - self * factor`, likewise.
    fn neg_mul_add(self, factor: Self, summand: Self) -> Self;

    /// The larger, or `other` where one is NaN.
    fn maximum(self, other: Self) -> Self;

    fn abs(self) -> Self;

    /// This number, at least 0, with the sign of `other`.
    fn with_sign_of(self, other: Self) -> Self;

    /// Where `self < other`; nowhere that one is NaN.
    fn below(self, other: Self) -> Self::Mask;

    /// Where the two are equal.
    fn equals(self, other: Self) -> Self::Mask;

    /// `yes` where the mask is true, else `no`.
    fn select(mask: Self::Mask, yes: Self, no: Self) -> Self;

    /// 0 where the mask is true, else `self`.
    fn zero_where(self, mask: Self::Mask) -> Self;

    /// Where both masks are true.
    fn both(a: Self::Mask, b: Self::Mask) -> Self::Mask;

    /// Whether the mask is true anywhere.
    fn any(mask: Self::Mask) -> bool;

    /// `self * 2^n`, where the whole number `n` stands in the lowest bits of `power`, and also in `n`. The result is a
    /// normal number.
    fn times_two_to(self, n: Self, power: Self) -> Self;

    /// Adds each to its sum.
    fn add_to(self, sums: &mut [f64; LANES]);

    #[inline(always)]
    fn zero() -> Self {
        Self::splat(0.0)
    }

    #[inline(always)]
    fn to_array(self) -> [f32; LANES] {
        let mut array = [0.0; LANES];
        self.store(&mut array);
        array
    }
}

/// A level by name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Name {
    Baseline,
    #[cfg(target_arch = "x86_64")]
    Avx2,
    #[cfg(target_arch = "x86_64")]
    Avx512,
    #[cfg(target_arch = "aarch64")]
    Neon,
}

impl Name {
    /// From the narrowest to the widest.
    const ALL: &[Self] = &[
        Self::Baseline,
        #[cfg(target_arch = "x86_64")]
        Self::Avx2,
        #[cfg(target_arch = "x86_64")]
        Self::Avx512,
        #[cfg(target_arch = "aarch64")]
        Self::Neon,
    ];

    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Baseline => "baseline",
            #[cfg(target_arch = "x86_64")]
            Self::Avx2 => "avx2",
            #[cfg(target_arch = "x86_64")]
            Self::Avx512 => "avx512",
            #[cfg(target_arch = "aarch64")]
            Self::Neon => "neon",
        }
    }

    /// Whether this CPU has the instructions.
    fn is_here(self) -> bool {
        match self {
            Self::Baseline => true,
            #[cfg(target_arch = "x86_64")]
            Self::Avx2 => avx2::is_here(),
            #[cfg(target_arch = "x86_64")]
            Self::Avx512 => avx512::is_here(),
            #[cfg(target_arch = "aarch64")]
            Self::Neon => true,
        }
    }
}

/// The levels of this CPU, from the narrowest to the widest.
pub(crate) fn available() -> Vec<Name> {
    Name::ALL.iter().copied().filter(|name| name.is_here()).collect()
}

/// The environment variable that forces a level.
const VARIABLE: &str = "VESTIGE_SIMD";

/// The level that kernels use: what `VESTIGE_SIMD` says, else the widest. It is found out once.
///
/// # Errors
/// [`Error::SimdLevel`] if this CPU has no level of that name; kernels then use the widest.
pub(crate) fn level() -> Result<Name, Error> {
    static CHOSEN: OnceLock<Result<Name, Error>> = OnceLock::new();
    CHOSEN.get_or_init(|| choose(&std::env::var(VARIABLE).unwrap_or_default(), &available())).clone()
}

fn choose(forced: &str, available: &[Name]) -> Result<Name, Error> {
    let wanted = forced.trim();
    let found = available.iter().rev().find(|name| wanted.is_empty() || name.as_str() == wanted);
    found.copied().ok_or_else(|| {
        let names = available.iter().map(|name| name.as_str()).collect::<Vec<_>>();
        Error::SimdLevel { seen: wanted.to_owned(), available: names.join(", ") }
    })
}

/// Runs a kernel at the level of [`level`].
pub(crate) fn widest<K: Kernel>(kernel: K) -> K::Output {
    static NAME: OnceLock<Name> = OnceLock::new();
    run_at(*NAME.get_or_init(|| level().unwrap_or_else(|_| available()[available().len() - 1])), kernel)
}

/// Runs a kernel at a level that this CPU has.
fn run_at<K: Kernel>(name: Name, kernel: K) -> K::Output {
    match name {
        Name::Baseline => kernel.run::<Baseline>(),
        // SAFETY: names come from `available`, which has looked for the instructions.
        #[cfg(target_arch = "x86_64")]
        Name::Avx2 => unsafe { avx2::run(kernel) },
        // SAFETY: as above.
        #[cfg(target_arch = "x86_64")]
        Name::Avx512 => unsafe { avx512::run(kernel) },
        #[cfg(target_arch = "aarch64")]
        Name::Neon => kernel.run::<neon::Neon>(),
    }
}

/// Runs a kernel at each level of this CPU.
#[cfg(test)]
pub(crate) fn at_each<K: Kernel + Clone>(kernel: K) -> Vec<(Name, K::Output)> {
    available().into_iter().map(|name| (name, run_at(name, kernel.clone()))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Clone)]
    struct EveryOperation;

    impl Kernel for EveryOperation {
        type Output = Vec<[f32; LANES]>;

        #[inline(always)]
        fn run<L: Level>(self) -> Self::Output {
            let x = L::Singles::load(&NUMBERS);
            let y = L::Singles::load(&std::array::from_fn(|i| NUMBERS[(5 * i + 3) % LANES]));
            let (n, one) = (L::Singles::splat(3.0), L::Singles::splat(1.0));
            let normal = L::Singles::load(&std::array::from_fn(|i| 0.7 + 0.1 * i as f32));
            let power = n.add(L::Singles::splat(12_582_912.0));
            let mut sums = [0.5; LANES];
            x.add_to(&mut sums);
            [
                x.add(y),
                x.sub(y),
                x.mul(y),
                x.div(y),
                x.mul_add(n, one),
                x.neg_mul_add(n, one),
                x.maximum(y),
                x.abs(),
                x.abs().with_sign_of(y),
                L::Singles::select(x.below(y), x, y),
                L::Singles::select(x.equals(x), one, n),
                one.zero_where(x.below(y)),
                one.zero_where(L::Singles::both(x.below(n), n.zero_where(x.equals(x)).below(n))),
                L::Singles::splat(if L::Singles::any(x.below(y)) { 1.0 } else { 0.0 }),
                L::Singles::splat(if L::Singles::any(x.below(x)) { 1.0 } else { 0.0 }),
                normal.times_two_to(n, power),
                L::Singles::load(&sums.map(|sum| sum as f32)),
            ]
            .map(L::Singles::to_array)
            .to_vec()
        }
    }

    const NUMBERS: [f32; LANES] =
        [0.0, -0.0, 1.0, -1.5, 3e38, -3e38, 1e-30, 0.1, -7.25, f32::NAN, 2.0, 88.0, -87.0, 1e-7, 5.0, -2.0];

    #[test]
    fn every_operation_is_the_same_at_every_level() {
        let bits = |rows: Vec<[f32; LANES]>| rows.iter().map(|row| row.map(f32::to_bits)).collect::<Vec<_>>();
        let mut results = at_each(EveryOperation).into_iter();
        let (_, expected) = results.next().unwrap();
        for (name, result) in results {
            for (i, (ours, expected)) in bits(result).into_iter().zip(bits(expected.clone())).enumerate() {
                let fused = i == 4 || i == 5;
                let same = |lane: usize| {
                    let (a, b) = (f32::from_bits(ours[lane]), f32::from_bits(expected[lane]));
                    a.to_bits() == b.to_bits()
                        || (a.is_nan() && b.is_nan())
                        || (fused && (a - b).abs() < 1e-6 * b.abs())
                };
                assert!((0..LANES).all(same), "operation {i} at {name:?}: {ours:x?}, not {expected:x?}");
            }
        }
    }

    #[test]
    fn a_level_is_chosen_by_name_and_the_widest_without_one() {
        let here = available();
        assert_eq!(choose("", &here).ok(), here.last().copied());
        assert_eq!(choose(" baseline ", &here), Ok(Name::Baseline));
        let error = choose("sse9", &[Name::Baseline]).unwrap_err();
        assert_eq!(error, Error::SimdLevel { seen: "sse9".into(), available: "baseline".into() });
    }
}
